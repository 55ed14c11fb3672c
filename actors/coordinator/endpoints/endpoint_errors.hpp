// ENDPOINT ERRORS: what one endpoint's calls have met in this life of ours: what it said last,
// since when none was answered, and which failures the log is told. Invariant: of each class at
// most one failure in told_every is logged, with the number of those that were not.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/error_book.hpp"
#include "protocol/node/messages.hpp"

#include <array>
#include <optional>

namespace gristmill::coordinator {

class EndpointErrors {
public:
  static constexpr Duration told_every = std::chrono::seconds{10};

  // A call ended. Set: it is to be told, and so many of its class were not since the last one.
  std::optional<std::uint64_t> ended(const protocol::Outcome& outcome, Time now) {
    const OutcomeClassInfo& meant = info(outcome.cls);
    if (meant.news == EndpointNews::answered) failing_since_ = never;
    if (outcome.cls == OutcomeClass::ok || meant.fault == Fault::nobody) return std::nullopt;
    if (meant.news != EndpointNews::answered) failing_since_ = std::min(failing_since_, now);
    book_.met({outcome.cls, outcome.code, outcome.http_status, outcome.message});
    last_at_ = now;
    if (meant.news != EndpointNews::answered) {
      last_failure_ = *book_.last();
      last_failure_at_ = now;
    }
    Told& told = told_[static_cast<std::size_t>(outcome.cls)];
    if (now < told.again_at) {
      ++told.left_out;
      return std::nullopt;
    }
    told.again_at = now + told_every;
    return std::exchange(told.left_out, 0);
  }

  const ErrorBook& book() const { return book_; }
  const CountedError* last() const { return book_.last(); }
  Time last_at() const { return last_at_; }
  // What it failed by last, whatever its items have met; nothing: it has not failed.
  const std::optional<CountedError>& last_failure() const { return last_failure_; }
  Time last_failure_at() const { return last_failure_at_; }
  // Since when none of its calls has been answered; never = the last one was.
  Time failing_since() const { return failing_since_; }

private:
  struct Told {
    Time again_at = Time::min();
    std::uint64_t left_out = 0;
  };
  ErrorBook book_;
  std::optional<CountedError> last_failure_;
  Time last_at_{}, last_failure_at_{}, failing_since_ = never;
  std::array<Told, outcome_class_count> told_;
};

} // namespace gristmill::coordinator
