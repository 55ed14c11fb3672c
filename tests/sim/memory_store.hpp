// MEMORY STORE: a journal on a disk that the simulator owns. A group becomes durable some time
// after it was handed over, or a crash comes first and it never was. Recovery is what a journal
// must give back; it is written here a second time on purpose, as the simple form of what the real
// store does.
#pragma once

#include "actors/journal/journal_store.hpp"

#include <map>
#include <optional>
#include <set>

namespace gristmill::sim {

class MemoryStore {
public:
  struct Line {
    std::uint64_t item = 0;
    bool failed = false;
    std::string text;
  };

  void hand_over(journal::Group group) { pending_ = std::move(group); }
  bool busy() const { return pending_.has_value(); }
  journal::Position make_durable(); // of what was handed over
  void crash() { pending_.reset(); }
  journal::Recovered recover(); // begins a new epoch

  const std::map<JobId, std::vector<Line>>& lines() const { return lines_; }
  bool is_terminal(JobId job, std::uint64_t item) const;
  // The block that a permit's number names, if it is durable.
  const journal::BlockNote* block(std::uint64_t epoch, std::uint64_t number) const;
  const std::map<JobId, journal::RecoveredJob>& jobs() const { return jobs_; }

private:
  std::optional<journal::Group> pending_;
  std::uint32_t epoch_ = 0;
  journal::Position last_ = 0;
  std::map<JobId, journal::RecoveredJob> jobs_;
  std::map<JobId, std::map<std::uint64_t, journal::AttemptNote>> attempts_;
  std::map<JobId, std::vector<Line>> lines_;
  std::map<JobId, std::set<std::uint64_t>> terminal_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, journal::BlockNote> blocks_;
  std::map<SessionId, journal::SessionNote> sessions_;
};

} // namespace gristmill::sim
