// PROBATION: jobs that ran while coordinators ended without warning, several times in a row, and of
// which nothing was recorded between. Usually another job was to blame, so the job goes on, with
// one call at a time; once something of it is recorded it is trusted again. A job that brings the
// coordinator down whenever it is called would do so for ever, so it is given up. Invariant: a job
// on probation has at most one item out, and the journal is told which.
#pragma once

#include "actors/words/records.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace gristmill::jobs {

class Probation {
public:
  // After so many ends in a row the job makes one call at a time.
  static constexpr std::uint32_t careful_after = 3;
  // After so many with the same item out it is given up, and after so many whatever was out.
  static constexpr std::uint32_t same_item_max = 3, crashes_max = 30;

  // So many coordinators have ended in a row; `same_item`: of these the last ones that found the
  // same item out.
  void recovered(JobId job, std::uint32_t crashes, std::uint32_t same_item);
  void forget(JobId job) { suspects_.erase(job); }
  std::size_t size() const { return suspects_.size(); }

  std::uint32_t crashes(JobId job) const;
  bool is_given_up(JobId job) const;
  // The job runs, and so much of it is recorded. True: it is on probation from now on.
  bool begins(JobId job, std::uint64_t recorded);
  bool is_careful(JobId job) const;
  // So much is recorded now. True: the job is trusted from now on.
  bool passes(JobId job, std::uint64_t recorded);
  // Its rooms are gone.
  void closed(JobId job);

  // The jobs on probation; and of the items that are out of them those that the journal does not
  // know.
  std::vector<JobId> jobs() const;
  std::vector<journal::ProbationNote> news(std::vector<journal::ProbationNote> out);

private:
  struct Suspect {
    std::uint32_t crashes = 0, same_item = 0;
    // Set: it is on probation until more than so much is recorded, and the journal knows this item
    // to be out.
    std::optional<std::uint64_t> beyond = {}, noted = {};
  };
  std::map<JobId, Suspect> suspects_;
};

} // namespace gristmill::jobs
