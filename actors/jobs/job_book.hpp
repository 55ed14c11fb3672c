// JOB BOOK: the jobs of a coordinator by their numbers, and their states. Every change is returned
// as the row that the journal shall hold. Invariant: a job that is over changes only when somebody
// reopens it, and no two jobs ever have the same number.
#pragma once

#include "actors/jobs/job_entry.hpp"
#include "actors/jobs/questions.hpp"
#include "actors/kit/moment.hpp"
#include "actors/words/records.hpp"
#include "protocol/result.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::jobs {

struct JobPage {
  std::vector<const JobEntry*> jobs;
  JobId more; // it goes on after this one; 0 = no
};

class JobBook {
public:
  // `flat`: one job whose segments stand in the state directory itself (`gristmill run`).
  explicit JobBook(bool flat) : flat_{flat} {}

  void recovered(JobEntry entry);
  void forget(JobId job);
  // A new job; an error lists every fault of the specification.
  Result<journal::JobChange> submit(JobSpec spec, std::int64_t unix_now);
  // Moves the job to another state; nothing if it is over or in that state already, unless only now
  // a user asks for it.
  std::optional<journal::JobChange> change(JobId id, StateChange to, std::int64_t unix_now);
  // A job that runs has had no answer from its endpoints since then; none = it is answered. That is
  // journalled when it has lasted for a while, and when it is over.
  std::optional<journal::JobChange> unanswered(JobId id, std::optional<Time> since,
                                               const Moment& moment);
  // Makes a job run again that is paused or over; `spec`: in place of the one that it has.
  journal::JobChange reopen(JobId id, std::optional<JobSpec> spec, std::int64_t unix_now);

  JobEntry* find(JobId id); // nullptr = there is none
  const JobEntry* find(JobId id) const;
  Result<const JobEntry*> named(JobId id) const; // the error tells whoever asks that there is none
  const std::map<JobId, JobEntry>& jobs() const { return jobs_; }
  JobPage page(const ListJobs& list) const;

private:
  static constexpr auto journalled_after =
      std::chrono::seconds{5}; // shorter ones are soon forgotten

  bool flat_;
  std::map<JobId, JobEntry> jobs_;
  std::uint32_t last_ = 0;
};

} // namespace gristmill::jobs
