// JOB DESK: one per cluster. Answers users' questions about jobs, at once or when the change is
// durable, and goes on with the jobs that an earlier life of the coordinator left.
//   hears  questions of users; from JOURNAL what was read and what is durable, and that rooms are
//          gone; for JOB LIVES: JobReport from SUPERVISORs, MergeReport from MERGERs, BudgetStop
//          from RATE LIMITER
//   tells  what effects.hpp names: JOURNAL, clients, the jobs' rooms, COORDINATOR, RATE LIMITER
//   never  looks at an item, a call or a worker
// Invariant: whatever reopens or forgets a job that is over waits until the job's rooms are gone,
// and only one such thing happens to a job at a time.
#pragma once

#include "actors/jobs/effects.hpp"
#include "actors/jobs/job_lives.hpp"
#include "actors/jobs/questions.hpp"
#include "actors/kit/sizes.hpp"
#include "protocol/job/pools.hpp"

#include <map>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

namespace gristmill::jobs {

struct DeskOptions {
  bool flat = false;         // `gristmill run`: one job, which goes on as its command says
  bool crashed = false;      // sessions were open when our last life ended …
  bool workers_died = false; // … and died with it
  std::vector<PoolSpec> pools = {};
};

class JobDesk {
public:
  explicit JobDesk(DeskOptions options) : options_{std::move(options)}, lives_{options_.flat} {}

  // What the journal remembers; before started().
  void recovered(journal::RecoveredJob job, Time now);
  void was_forgotten(JobId job) { lives_.forget(job); }
  // First of all what earlier lives may have spent is journalled, then their jobs go on.
  Effects money_assumed();
  Effects started(const Moment& moment);

  // Of a job that is handed in somebody else knows whether a pool serves it.
  Effects asked(Question question, std::uint64_t token, const Moment& moment);
  Effects durable(const JobDurable& durable, const Moment& moment);
  Effects forgotten(const JobForgotten& forgotten);
  Effects inputs_durable(InputsDurable durable);
  Effects read(JobRead read, const Moment& moment);
  Effects merged(MergeReport report, const Moment& moment);
  Effects room_gone(JobId job, JobRoom room, const Moment& moment);
  // It threw: its job is parked, the others go on. `why`: a sentence.
  Effects room_crashed(JobId job, JobRoom room, std::string why, const Moment& moment);

  // As of JobLives.
  Effects reported(JobReport report, const Moment& moment) {
    return lives_.reported(std::move(report), moment);
  }
  Effects budget_spent(const BudgetStop& stop, const Moment& moment) {
    return lives_.budget_spent(stop, moment);
  }
  Effects tick(const Moment& moment) { return lives_.tick(moment); }
  Effects items_out(std::vector<journal::ProbationNote> out) {
    return lives_.items_out(std::move(out));
  }
  std::vector<Event> waits(JobId job, const JobStanding& standing, const Moment& moment) {
    return lives_.waits(job, standing, moment);
  }
  void offered(JobId job, CallId last) { lives_.offered(job, last); }
  void supervisor_waits(JobId job, WaitReason why) { lives_.supervisor_waits(job, std::move(why)); }
  void journal_full(std::string sentence) { lives_.journal_full(std::move(sentence)); }

  const JobLives& lives() const { return lives_; }
  void measure(Sizes& sizes) const;

private:
  // What is under way with a job whose rooms do not exist. KeptJob: it is about to run again.
  struct Reading {
    ReopenJob wanted;
    std::uint64_t token = 0;
  };
  struct Forgetting {};
  struct Merging {
    std::uint64_t token = 0;
  };
  using Errand = std::variant<Reading, KeptJob, Forgetting, Merging>;
  template <class T> std::optional<T> take(JobId job);

  Effects answer(SubmitJob& submit, std::uint64_t token, const Moment& moment);
  Effects answer(const CancelJob& cancel, std::uint64_t token, const Moment& moment);
  Effects answer(const PauseJob& pause, std::uint64_t token, const Moment& moment);
  Effects answer(const ForgetJob& forget, std::uint64_t token, const Moment& moment);
  Effects answer(ReopenJob& wanted, std::uint64_t token, const Moment& moment);
  Effects answer(const MergeAgain& merge, std::uint64_t token, const Moment& moment);
  Effects answer(AppendInputs& wanted, std::uint64_t token, const Moment& moment);
  Effects answer(const CloseInputs& close, std::uint64_t token, const Moment& moment);
  Effects answer_late(JobId job, const Moment& moment);
  Effects reopen(JobId job, KeptJob kept, Reading asked, const Moment& moment);
  bool is_ending(JobId job) const;

  struct Asked {
    Question question;
    std::uint64_t token = 0;
  };

  DeskOptions options_;
  JobLives lives_;
  std::vector<journal::MoneyNote> assumed_; // that the journal is told at the start
  std::map<JobId, KeptJob> kept_;           // as recovered, until they are opened
  std::map<JobId, Errand> errands_;
  std::map<JobId, std::vector<Asked>> late_; // of jobs whose rooms are about to end
};

} // namespace gristmill::jobs
