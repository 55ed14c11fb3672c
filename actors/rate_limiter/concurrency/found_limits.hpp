// FOUND LIMITS: how many calls each endpoint was found to take up, for as long as its account is
// forgotten: between jobs, and from one life of the coordinator to the next, by way of the journal.
// Invariant: no more than limits::found_limits_max of them, the ones that were heard of last.
#pragma once

#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"
#include "actors/words/records.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gristmill::rate_limiter {

class FoundLimits {
public:
  void recovered(const std::vector<journal::ConcurrencyNote>& notes) {
    for (const auto& note : notes) put(note.account, {note.calls, note.rising});
  }
  std::optional<FoundLimit> of(const std::string& account) const {
    const auto it = known_.find(account);
    return it == known_.end() ? std::nullopt : std::optional{it->second.found};
  }
  void heard(const std::string& account, const FoundLimit& found) {
    put(account, found);
    news_.push_back({account, found.limit, found.rising});
  }
  // It will not come back: the journal forgets it, too.
  void forget(const std::string& account) {
    if (known_.erase(account) != 0) news_.push_back({account, 0, false});
  }
  // What was heard since, for the journal.
  std::vector<journal::ConcurrencyNote> notes() { return std::exchange(news_, {}); }
  std::size_t size() const { return known_.size() + news_.size(); }

private:
  struct Known {
    FoundLimit found;
    std::uint64_t number = 0; // rises with each that is heard
  };
  void put(const std::string& account, const FoundLimit& found) {
    known_[account] = {found, ++numbers_};
    if (known_.size() <= limits::found_limits_max) return;
    known_.erase(std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) {
      return a.second.number < b.second.number;
    }));
  }

  std::unordered_map<std::string, Known> known_;
  std::vector<journal::ConcurrencyNote> news_;
  std::uint64_t numbers_ = 0;
};

// Whether it differs so much that it is worth a note.
inline bool is_news(const FoundLimit& found, const FoundLimit& noted) {
  if (found.rising != noted.rising) return true;
  const double apart = std::abs(
      std::log(static_cast<double>(found.limit) / static_cast<double>(std::max(1u, noted.limit))));
  return apart > (found.rising ? 0.4 : 0.1);
}

} // namespace gristmill::rate_limiter
