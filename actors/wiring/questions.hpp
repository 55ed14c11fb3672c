// QUESTIONS of clients, and their answers: all that the HTTP API and the commands know of a node.
#pragma once

#include "actors/coordinator/views.hpp"
#include "actors/supervisor/item_question.hpp"
#include "actors/wiring/explanation.hpp"
#include "actors/words/records.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace gristmill::wiring {

// All that a client is told of a job.
struct JobView {
  JobId id;
  JobState state = JobState::running;
  JobReason reason = JobReason::none;
  std::string detail;
  JobCounts counts;
  std::string why_waiting = {};
  std::int64_t created_at = 0, ended_at = 0;
  std::string output = {}; // where its result stands, or will stand
  Usd budget_usd{};
  WaitKind waiting_for = WaitKind::none; // the kind of why_waiting
  std::string waiting_at = {};           // its endpoint, if one has to do with it
  std::uint32_t weight = 1, priority = 0;
  std::int64_t deadline = 0; // unix seconds; 0 = none
  bool urgent = false;       // … for whose sake it goes before all others
  SharedErrors errors = {};  // that its calls have met; nullptr = none
  double waiting_s = -1;     // for so long; below 0 = not known
};

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
// Goes on with a job that is paused, failed or over.
struct ReopenJob {
  JobId job;
  std::optional<JobSpec> spec; // in place of the one that it had; its identity is the same
  // Also runs again what has failed, of these classes; an empty list = of any.
  std::optional<std::vector<OutcomeClass>> retry;
  std::optional<Usd> budget_usd = {}; // in place of the one of `spec`, or that it had
};
// Writes the result of a job that is over again, which somebody has moved away. Answered when it
// stands; the job's state stays as it is.
struct MergeAgain {
  JobId job;
};
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
struct ShowJob {
  JobId job;
};
struct ExplainJob {
  JobId job;
  std::optional<supervisor::ItemQuestion> item; // nothing: the job as a whole
};
struct ShowReady {}; // an answer without an error says that jobs can go on
struct ListWorkers {};
struct DrainWorker {
  std::string worker;
}; // its name, or a session as people see it
struct ListPools {
  bool of_jobs = false; // also endpoints that only jobs name, as a pool without a model
};

struct Ask {
  std::uint64_t token = 0;
  std::variant<SubmitJob, CancelJob, PauseJob, ForgetJob, ReopenJob, ListJobs, ShowJob, ShowReady,
               ListWorkers, DrainWorker, ListPools, ExplainJob, MergeAgain>
      question;
};

struct Answer {
  std::uint64_t token = 0;
  std::optional<Error> error;
  std::vector<JobView> jobs;                    // of all questions about jobs
  std::vector<coordinator::WorkerView> workers; // of ListWorkers, DrainWorker
  std::vector<coordinator::PoolView> pools;     // of ListPools
  std::vector<InputSpec> forgotten_inputs;      // of ForgetJob: those of the job that is gone
  std::optional<Explanation> explanation = {};  // of ExplainJob
  JobId more = {};                              // of ListJobs: it goes on after this one; 0 = no
};

} // namespace gristmill::wiring
