// JOB VIEW: one job as clients see it: what the desk knows of it, what COORDINATOR knows of its
// calls, and why it waits. Invariant: it is complete; nobody who passes it on adds to it.
#pragma once

#include "actors/jobs/explanation.hpp"
#include "actors/jobs/job_entry.hpp"
#include "actors/kit/moment.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/usd.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace gristmill::jobs {

struct JobView {
  JobId id;
  JobState state = JobState::running;
  JobReason reason = JobReason::none;
  std::string detail;
  JobCounts counts;
  std::string why_waiting = {};
  std::int64_t created_at = 0, ended_at = 0;
  std::string output = {}; // where its result stands, or will stand
  Usd budget{};
  WaitKind waiting_for = WaitKind::none; // the kind of why_waiting
  std::string waiting_at = {};           // its endpoint, if one has to do with it
  std::uint32_t weight = 1, priority = 0;
  std::int64_t deadline = 0;          // unix seconds; 0 = none
  bool urgent = false;                // … for whose sake it goes before all others
  SharedErrors errors = {};           // that its calls have met; nullptr = none
  std::optional<bool> is_closed = {}; // of an open job: no more inputs come
  std::uint64_t appends = 0;          // … and so many have
  double waiting_s = -1;              // for so long; below 0 = not known
};

// What COORDINATOR knows of a job.
struct JobStanding {
  std::uint32_t in_flight = 0;
  bool urgent = false;       // it goes before all others, for the sake of its deadline
  WaitReason reason = {};    // why none of its calls begins
  MetError at_endpoint = {}; // of the reason
};

// `full_disk`: the sentence about one that the job needs, or empty. `output`: where its result
// stands.
JobView view_of(const JobEntry& job, const JobStanding& standing, const std::string& full_disk,
                std::string output, const Moment& moment);

} // namespace gristmill::jobs
