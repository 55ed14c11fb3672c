// JOB LIVES: each job's way from state to state. It opens and closes the job's rooms, and acts on
// what its supervisor and merger report, on its money, its deadline and the coordinator's crashes.
// Invariant: a change of state is appended before anybody is told of it; what takes permission away
// from a job (pause, budget) waits for no disk.
// Required: where nothing else is said, an id that is handed in names a job of the book.
#pragma once

#include "actors/jobs/effects.hpp"
#include "actors/jobs/job_book.hpp"
#include "actors/jobs/job_view.hpp"
#include "actors/jobs/probation.hpp"
#include "actors/jobs/probe_wait.hpp"
#include "actors/jobs/wait_news.hpp"
#include "actors/kit/sizes.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::jobs {

class JobLives {
public:
  // `flat`: the one job of `gristmill run`, which goes on as its command says.
  explicit JobLives(bool flat) : flat_{flat}, book_{flat} {}

  void recovered(const journal::RecoveredJob& job, Time now);
  void forget(JobId job); // also one that is not here: its number stays taken

  // What users want, which is answered when it is durable. An error lists every fault of the
  // specification.
  Result<Effects> submit(JobSpec spec, std::uint64_t token, const Moment& moment);
  Effects cancel(JobId job, std::uint64_t token, const Moment& moment);
  Effects pause(JobId job, std::uint64_t token, const Moment& moment);
  // It runs again, with another specification if there is one; `append`: what is durable as one
  // with that, and what follows then.
  Effects run(JobId job, std::optional<JobSpec> spec, Append append, const Moment& moment);
  // So it begins then.
  void begins_with(JobId job, const JobCounts& counts, ErrorList errors);

  Effects open(JobId job, KeptJob kept, const Moment& moment);
  // The same after a restart of ours; a job that seems to have caused it goes on only if users say
  // so.
  Effects open_again(JobId job, KeptJob kept, const Moment& moment);
  Effects resume(JobId job, bool probing);
  Effects close(JobId job); // nothing, if it is not open
  Effects merge(JobId job, std::int64_t ended_at, bool cancelled);
  void room_gone(JobId job, JobRoom room) { rooms_.erase({job, room}); }

  // Of jobs that may be gone or over: then nothing follows.
  Effects reported(JobReport report, const Moment& moment);
  Effects merged(MergeReport report, const Moment& moment);
  Effects crashed(JobId job, std::string why, const Moment& moment);
  Effects budget_spent(const BudgetStop& stop, const Moment& moment);
  void offered(JobId job, CallId last); // its calls have numbers up to that one
  void supervisor_waits(JobId job, WaitReason waiting);
  // Of an open job; it is durable later.
  Result<journal::AppendNote> append(AppendInputs wanted) {
    return book_.find(wanted.job)->appends.append(std::move(wanted));
  }
  void close_inputs(JobId job) { book_.find(job)->appends.close(); }

  Effects tick(const Moment& moment); // at least every half second
  std::vector<JobId> on_probation() const { return probation_.jobs(); }
  Effects items_out(std::vector<journal::ProbationNote> out); // of the jobs on probation
  // What the log is told of why an open job waits; at each tick.
  std::vector<Event> waits(JobId job, const JobStanding& standing, const Moment& moment);
  void journal_full(std::string sentence) { journal_full_ = std::move(sentence); } // empty = not

  const JobBook& book() const { return book_; }
  const JobEntry* find(JobId job) const { return book_.find(job); }
  bool has_room(JobId job, JobRoom room) const { return rooms_.contains({job, room}); }
  // The sentence about a full disk that the job, or the node, needs; empty = there is none.
  const std::string& full_disk(JobId job = {}) const;
  void measure(Sizes& sizes) const;

private:
  static void hold(JobId job, Effects& effects);
  void stop(JobId job, StateChange to, const Moment& moment, Effects& effects);
  void change(JobId job, StateChange to, const Moment& moment, Effects& effects,
              std::uint64_t token = 0);
  RateLimits limits_of(const JobEntry& job) const;

  bool flat_;
  JobBook book_;
  Probation probation_;
  ProbeWait probe_wait_;
  WaitNews wait_news_;
  std::set<std::pair<JobId, JobRoom>> rooms_; // that are not known to be gone
  // Sentences about full disks: of the journal, and of results that are being merged. They are in
  // no journal; whoever starts on a full disk finds out anew.
  std::string journal_full_;
  std::map<JobId, std::string> merge_full_;
};

} // namespace gristmill::jobs
