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
    leaves(job, session);
}

void Turns::waits(JobId job, SessionId session, Time at) {
  jobs_[job].asks_at[session] = at;
  waiting_.insert(job);
}

Time Turns::line_up(JobId job, SessionId session, double answer_s, Time now) {
  const Duration every = std::clamp(from_seconds(answer_s / 100), look_least, look_most);
  Job& line = jobs_[job];
  const Time at = std::min(std::max(now, line.last_in_line) + every, now + patience);
  const auto anyway = line.asks_at.find(session);
  if (anyway != line.asks_at.end() && anyway->second > now && anyway->second < at)
    return anyway->second;
  return line.last_in_line = at;
}

// Of workers that have left.
void Turns::sweep(Time now) {
  swept_at_ = now;
  std::erase_if(waiting_, [&](JobId job) {
    auto& asks_at = jobs_.at(job).asks_at;
    std::erase_if(asks_at, [now](const auto& of) { return of.second + patience < now; });
    return asks_at.empty();
  });
}

void Turns::leaves(JobId job, SessionId session) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  it->second.asks_at.erase(session);
  if (it->second.asks_at.empty()) waiting_.erase(job);
}

void Turns::forget(JobId job) {
  jobs_.erase(job);
  waiting_.erase(job);
  shares_.forget(job);
}

std::optional<Time> Turns::waits_until(const Job& job, Time now) {
  std::optional<Time> next;
  for (const auto& [session, at] : job.asks_at)
    if (at + patience >= now && (!next || at < *next)) next = at;
  return next;
}

bool Turns::nobody_waits(Time now) const {
  return std::ranges::none_of(
      waiting_, [&](JobId job) { return waits_until(jobs_.at(job), now).has_value(); });
}

std::optional<Turns::Yield> Turns::yields(JobId job, Time now) const {
  if (jobs_.size() < 2) return std::nullopt;
  const std::uint32_t priority = shares_.of(job).priority;
  std::optional<Yield> yield;
  for (const JobId other : waiting_) {
    const std::uint32_t of_other = shares_.of(other).priority;
    if (other == job || of_other < priority) continue;
    if (of_other == priority && shares_.ahead(job, other) <= lead_max) continue;
    const auto at = waits_until(jobs_.at(other), now);
    if (!at) continue;
    const Time until = std::max(*at, now) + again;
    yield = yield ? Yield{std::min(yield->until, until), yield->to + 1} : Yield{until, 1};
  }
  return yield;
}

} // namespace gristmill::rate_limiter
