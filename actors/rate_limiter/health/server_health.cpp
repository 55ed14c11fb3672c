#include "actors/rate_limiter/health/server_health.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {
namespace {

constexpr double often_full = 0.2;    // from here on it is we who are too many
constexpr double seldom_full = 0.045; // one of the last 32 calls, and not two
constexpr double calls_of_late = 32;
constexpr double at_once = 0.25; // of the time of an answer

} // namespace

void ServerHealth::find_concurrency(std::uint32_t most, const std::optional<FoundLimit>& before,
                                    Time now) {
  if (concurrency_) return;
  concurrency_.emplace(most);
  if (!before) return;
  concurrency_->resumed(*before, now);
  noted_ = *before;
}

std::optional<FoundLimit> ServerHealth::found_news() {
  const auto found = concurrency_ ? concurrency_->found() : std::nullopt;
  if (!found || !is_news(*found, noted_)) return std::nullopt;
  return noted_ = *found;
}

Doubt ServerHealth::doubt(std::uint32_t in_flight) const {
  if (hold_.is_held()) return Doubt::held;
  const bool takes_more = in_flight < most_answered_ && full_ < often_full;
  return takes_more ? Doubt::none : Doubt::crowded;
}

ServerHealth::Begun ServerHealth::begun(std::uint32_t in_flight, Time now) {
  quota_.begun();
  return {now, in_flight + 1, concurrency_ ? concurrency_->begun(now) : Flight{}, hold_.begun(now)};
}

bool ServerHealth::fails_at_once(OutcomeClass cls, Duration latency, Time now) const {
  return info(cls).news == EndpointNews::full &&
         to_seconds(latency) < at_once * answer_time_.seconds(now);
}

void ServerHealth::ended(const Begun& call, const End& end, std::uint32_t in_flight, Time now) {
  quota_.ended(end.cls, call.at, now);
  // Answers whose beginning the server knew come sooner: only those of one kind are compared, or
  // each new beginning would look like a queue.
  const bool is_alike = end.from_cache == (from_cache_ > 0.5);
  if (end.cls == OutcomeClass::ok) {
    from_cache_ += ((end.from_cache ? 1 : 0) - from_cache_) / calls_of_late;
    answer_time_.heard(end.latency, now);
  }
  const EndpointNews news = info(end.cls).news;
  if (news == EndpointNews::answered || (news == EndpointNews::full && call.hold.probe == 0))
    full_ += ((news == EndpointNews::full ? 1 : 0) - full_) / calls_of_late;
  const bool was_held = hold_.is_held();
  hear_hold(call, end, now);
  if (!concurrency_) return;
  if (end.cls == OutcomeClass::unreachable && hold_.is_held() && !was_held)
    concurrency_->went_down(in_flight + static_cast<std::uint32_t>(hold_.faults()) - 1, now);
  hear_concurrency(call, end, is_alike, now);
}

void ServerHealth::hear_hold(const Begun& call, const End& end, Time now) {
  const EndpointNews news = info(end.cls).news;
  switch (news) {
  case EndpointNews::failed:
  case EndpointNews::away:
  case EndpointNews::full: return hold_.failed({call.hold, end.latency, end.told}, news, now);
  case EndpointNews::none: return hold_.ended_otherwise(call.hold, end.unstarted);
  case EndpointNews::refuses: return hold_.release();
  case EndpointNews::answered:
    hold_.answered();
    most_answered_ = std::max(most_answered_, call.in_flight);
  }
}

void ServerHealth::hear_concurrency(const Begun& call, const End& end, bool is_alike, Time now) {
  const auto says_nothing = [&] { concurrency_->ended_otherwise(call.flight, now); };
  if (fails_at_once(end.cls, end.latency, now)) return says_nothing();
  // A probe is alone, and one such end among many answers may be its item's: neither says how many
  // calls the server takes up.
  const bool is_full = info(end.cls).news == EndpointNews::full;
  if (is_full && call.hold.probe == 0 && full_ > seldom_full) return concurrency_->overloaded(now);
  if (end.cls == OutcomeClass::timeout) return concurrency_->timed_out(call.flight, now);
  if (end.cls != OutcomeClass::ok || !is_alike) return says_nothing();
  concurrency_->answered(call.flight, end.latency, now);
}

} // namespace gristmill::rate_limiter
