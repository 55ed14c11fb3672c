#include "actors/rate_limiter/turns.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {
namespace {

constexpr auto sweep_every = std::chrono::seconds{10};

} // namespace

void Turns::asks(JobId job, const Share& share, SessionId session, Time now) {
  if (now >= swept_at_ + sweep_every) sweep(now);
  const auto [it, added] = jobs_.try_emplace(job);
  if (added || shares_.of(job) != share) shares_.set(job, share);
  auto& asks_at = it->second.asks_at;
  // One that asks sooner than it was told to has others of the job's calls that will ask then.
  if (const auto of = asks_at.find(session); of != asks_at.end() && of->second <= now)
    asks_at.erase(of);
}

// Of workers that have left.
void Turns::sweep(Time now) {
  swept_at_ = now;
  for (auto& [job, waiting] : jobs_)
    std::erase_if(waiting.asks_at, [now](const auto& of) { return of.second + patience < now; });
}

void Turns::leaves(JobId job, SessionId session) {
  if (const auto it = jobs_.find(job); it != jobs_.end()) it->second.asks_at.erase(session);
}

void Turns::forget(JobId job) {
  jobs_.erase(job);
  shares_.forget(job);
}

std::optional<Time> Turns::waits_until(const Job& job, Time now) {
  std::optional<Time> next;
  for (const auto& [session, at] : job.asks_at)
    if (at + patience >= now && (!next || at < *next)) next = at;
  return next;
}

std::optional<Turns::Yield> Turns::yields(JobId job, Time now) const {
  if (jobs_.size() < 2) return std::nullopt;
  const std::uint32_t priority = shares_.of(job).priority;
  std::optional<Yield> yield;
  for (const auto& [other, waiting] : jobs_) {
    const std::uint32_t of_other = shares_.of(other).priority;
    if (other == job || waiting.asks_at.empty() || of_other < priority) continue;
    if (of_other == priority && shares_.ahead(job, other) <= lead_max) continue;
    const auto at = waits_until(waiting, now);
    if (!at) continue;
    const Time until = std::max(*at, now) + again;
    yield = yield ? Yield{std::min(yield->until, until), yield->to + 1} : Yield{until, 1};
  }
  return yield;
}

} // namespace gristmill::rate_limiter
