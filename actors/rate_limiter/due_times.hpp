// DUE TIMES: when what is to be looked at, so that an event costs what is due and not what there
// is. Invariant: a key has at most one time, and is due once.
#pragma once

#include "actors/kit/time.hpp"

#include <map>
#include <set>
#include <utility>
#include <vector>

namespace gristmill::rate_limiter {

template <class Key> class DueTimes {
public:
  // In place of the time that it had; `never` = not at all.
  void set(const Key& key, Time at) {
    const auto known = times_.find(key);
    if (known == times_.end() ? at == never : known->second == at) return;
    forget(key);
    if (at == never) return;
    times_.emplace(key, at);
    order_.emplace(at, key);
  }
  void forget(const Key& key) {
    const auto known = times_.find(key);
    if (known == times_.end()) return;
    order_.erase({known->second, key});
    times_.erase(known);
  }
  // Those that are due, which are not known any more; in the order of their keys.
  std::vector<Key> take(Time now) {
    std::set<Key> due;
    while (!order_.empty() && order_.begin()->first <= now) {
      due.insert(order_.begin()->second);
      times_.erase(order_.begin()->second);
      order_.erase(order_.begin());
    }
    return {due.begin(), due.end()};
  }
  Time next() const { return order_.empty() ? never : order_.begin()->first; }

private:
  std::map<Key, Time> times_;
  std::set<std::pair<Time, Key>> order_;
};

} // namespace gristmill::rate_limiter
