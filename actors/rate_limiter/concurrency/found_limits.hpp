// FOUND LIMITS: how many calls each endpoint was found to take up, and how many inputs in a call,
// for as long as its account is forgotten: between jobs, and from one life of the coordinator to
// the next, by way of the journal. Invariant: no more than limits::found_limits_max of them, the
// ones that were heard of last.
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
    for (const auto& note : notes)
      of_account(note.account) = {{note.calls, note.rising}, note.inputs, ++numbers_};
  }
  std::optional<FoundLimit> of(const std::string& account) const {
    const auto it = known_.find(account);
    const bool is_known = it != known_.end() && it->second.calls.limit != 0;
    return is_known ? std::optional{it->second.calls} : std::nullopt;
  }
  std::uint32_t inputs_of(const std::string& account) const { // 0 = not known
    const auto it = known_.find(account);
    return it == known_.end() ? 0 : it->second.inputs;
  }
  void heard(const std::string& account, const FoundLimit& found) {
    of_account(account).calls = found;
    tell(account);
  }
  void heard_inputs(const std::string& account, std::uint32_t inputs) {
    of_account(account).inputs = inputs;
    tell(account);
  }
  // It will not come back: the journal forgets it, too.
  void forget(const std::string& account) {
    if (known_.erase(account) != 0) news_.push_back({account, 0, false, 0});
  }
  // What was heard since, for the journal.
  std::vector<journal::ConcurrencyNote> notes() { return std::exchange(news_, {}); }
  std::size_t size() const { return known_.size() + news_.size(); }

private:
  struct Known {
    FoundLimit calls{0, false};
    std::uint32_t inputs = 0;
    std::uint64_t number = 0; // rises with each that is heard
  };
  Known& of_account(const std::string& account) {
    Known& known = known_[account];
    known.number = ++numbers_;
    if (known_.size() > limits::found_limits_max)
      known_.erase(std::min_element(known_.begin(), known_.end(), [](const auto& a, const auto& b) {
        return a.second.number < b.second.number;
      }));
    return known;
  }
  void tell(const std::string& account) {
    const Known& known = known_.at(account);
    news_.push_back({account, known.calls.limit, known.calls.rising, known.inputs});
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
