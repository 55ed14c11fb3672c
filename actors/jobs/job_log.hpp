// JOB LOG: the log events of a job's life, one line for each step. Invariant: every durable change
// of state has its line, which holds only counts, ids and sentences.
#pragma once

#include "actors/jobs/job_book.hpp"
#include "actors/kit/event.hpp"

namespace gristmill::jobs {

// Its rooms are opened: it begins, or goes on where an earlier life of ours stopped.
Event job_started(const JobEntry& job, const JobCounts& before);
// It was handed in, and the journal has it.
Event job_submitted(const JobEntry& job);
// Its rooms stood while it was paused.
Event job_resumed(const JobEntry& job);
// To any other state; the job may have left it again by now.
Event job_changed(const JobEntry& job, JobState to, std::int64_t unix_now);

} // namespace gristmill::jobs
