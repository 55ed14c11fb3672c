// QUESTIONS that users ask about jobs, as the HTTP API and the commands put them. Plain data.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/usd.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace gristmill::jobs {

struct SubmitJob {
  JobSpec spec;
};
struct CancelJob {
  JobId job;
};
struct PauseJob {
  JobId job;
};
struct ForgetJob {
  JobId job;
};
// More inputs of an open job, as one: all of them or none. What was appended with the same key is
// not appended again: the answer says which append it was. An error if it was something else.
struct AppendInputs {
  JobId job;
  std::string key;
  std::string hash;        // of the contents and their names
  std::uint64_t bytes = 0; // of the contents
  std::vector<InputSpec> inputs;
};
// No more inputs come. Answered like this, too, if that is so already.
struct CloseInputs {
  JobId job;
};
struct Appended {
  std::uint64_t number = 0; // of the job's appends, from 1
  bool repeated = false;    // it was there
};

// Goes on with a job that is paused, failed or over.
struct ReopenJob {
  JobId job;
  std::optional<JobSpec> spec; // in place of the one that it had; its identity is the same
  // Also runs again what has failed, of these classes; an empty list = of any.
  std::optional<std::vector<OutcomeClass>> retry;
  std::optional<Usd> budget = {}; // in place of the one of `spec`, or that it had
};
// Writes the result of a job that is over again, which somebody has moved away. Answered when it
// stands; the job's state stays as it is.
struct MergeAgain {
  JobId job;
};

// What changes a job, and is answered when the change is durable.
using Question = std::variant<SubmitJob, CancelJob, PauseJob, ForgetJob, ReopenJob, MergeAgain,
                              AppendInputs, CloseInputs>;

// A page of the jobs in the order of their ids; the answer's `more` is the next one's `after`. It
// is bounded in what it looks at, too, so a list of however many jobs stops nobody for long.
struct ListJobs {
  static constexpr std::size_t looked_at_max = 4'096;

  JobId after = {};
  std::size_t limit = looked_at_max;
  // Jobs that were over before (unix seconds) are left out, but those of `wanted` (sorted) are not.
  std::int64_t ended_since = 0;
  std::shared_ptr<const std::vector<JobId>> wanted = {};
};

} // namespace gristmill::jobs
