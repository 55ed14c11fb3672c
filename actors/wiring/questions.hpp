// QUESTIONS of clients, and their answers: all that the HTTP API and the commands know of a node.
#pragma once

#include "actors/coordinator/views.hpp"
#include "actors/jobs/explanation.hpp"
#include "actors/jobs/job_view.hpp"
#include "actors/jobs/questions.hpp"
#include "actors/supervisor/item_question.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace gristmill::wiring {

// Of jobs.
using jobs::Appended;
using jobs::AppendInputs;
using jobs::CancelJob;
using jobs::CloseInputs;
using jobs::Explanation;
using jobs::ForgetJob;
using jobs::is_waiting;
using jobs::JobView;
using jobs::ListJobs;
using jobs::MergeAgain;
using jobs::PauseJob;
using jobs::ReopenJob;
using jobs::SubmitJob;

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
               ListWorkers, DrainWorker, ListPools, ExplainJob, MergeAgain, AppendInputs,
               CloseInputs>
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
  std::optional<Appended> appended = {};        // of AppendInputs
  JobId more = {};                              // of ListJobs: it goes on after this one; 0 = no
};

} // namespace gristmill::wiring
