// JOB LOG: what the log says of a job's life, in one line for each step. Invariant: every change of
// state that was made durable has its line, and only counts, ids and sentences stand in it.
#pragma once

#include "actors/jobs/job_desk.hpp"
#include "actors/kit/event.hpp"

namespace gristmill::wiring {

// Its rooms are opened: it begins, or goes on where an earlier life of ours stopped.
Event job_started(const coordinator::JobEntry& job, const JobCounts& before);
// It was handed in, and the journal has it.
Event job_submitted(const coordinator::JobEntry& job);
// Its rooms stood while it was paused.
Event job_resumed(const coordinator::JobEntry& job);
// To any other state; the job may have left it again by now.
Event job_changed(const coordinator::JobEntry& job, JobState to, std::int64_t unix_now);

} // namespace gristmill::wiring
