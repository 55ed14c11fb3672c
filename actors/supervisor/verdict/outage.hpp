// OUTAGE: since when a job's calls have failed by no fault of its items with nothing answered
// between, what the endpoint says, and when the job's patience is over. Any answer ends it.
// Invariant: an outage that was journaled goes on after a restart with the time that it had lasted.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/supervisor/parts/last_words.hpp"
#include "protocol/job/state.hpp"

#include <fmt/format.h>
#include <optional>
#include <string>

namespace gristmill::supervisor {

class Outage {
public:
  // What is over so soon is worth no word; nor are a provider's limits, unless nothing ever goes.
  static constexpr Duration told_after = std::chrono::seconds{1};
  static constexpr Duration limits_told_after = std::chrono::seconds{60};

  explicit Outage(Duration patience) : patience_{patience} {} // 0 = without end

  // It had lasted so long when an earlier life of ours ended.
  void goes_on(Duration waited, Time now) { since_ = now - waited; }
  void failed(LastWords words, Time began) {
    if (!since_) since_ = began;
    ++calls_;
    words_ = std::move(words);
  }
  void ended() {
    since_.reset();
    calls_ = 0;
    words_ = {};
  }
  // Since when, if it is worth a word.
  std::optional<Time> since(Time now) const { return now >= told_at() ? since_ : std::nullopt; }
  Time told_at() const {
    const Fault fault = info(words_.cls).fault;
    const bool limits = fault == Fault::limit || fault == Fault::account;
    return since_ ? *since_ + (limits ? limits_told_after : told_after) : never;
  }
  std::uint64_t calls() const { return calls_; } // that failed meanwhile, in this life
  const LastWords& words() const { return words_; }

  Time patience_ends() const {
    return since_ && patience_ != Duration::zero() ? *since_ + patience_ : never;
  }
  std::optional<StateChange> over(Time now) const {
    if (now < patience_ends()) return std::nullopt;
    return StateChange{JobState::paused, JobReason::endpoint,
                       fmt::format("{} has answered nothing for {} s (--patience {}): {}", where(),
                                   (now - *since_) / std::chrono::seconds{1},
                                   patience_ / std::chrono::seconds{1}, what())};
  }
  std::string where() const {
    return words_.endpoint.empty() ? "the job's endpoint" : words_.endpoint;
  }
  std::string what() const {
    return calls_ == 0 ? "no call has ended since the restart" : words_.text();
  }

private:
  Duration patience_;
  std::optional<Time> since_;
  std::uint64_t calls_ = 0;
  LastWords words_;
};

} // namespace gristmill::supervisor
