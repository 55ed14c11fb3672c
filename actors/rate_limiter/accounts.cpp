// The accounts of RATE LIMITER: which there are, what the journal is told of them and has kept of
// those of earlier lives.
#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr auto look_for_idle_every = std::chrono::seconds{1};

std::string account_name(const EndpointOffer& offer) {
  const EndpointSpec& e = offer.endpoint;
  const std::string key = e.api_key_env.empty() ? e.api_key_file : e.api_key_env;
  // An announced endpoint is its worker's own: the same URL elsewhere is another server.
  if (offer.only) return fmt::format("endpoint:{}|{}|{}", e.url, key, offer.id.value);
  return fmt::format("endpoint:{}|{}", e.url, key);
}

AccountLimits limits_of(const EndpointSpec& e) {
  return {e.requests_per_minute,          e.tokens_per_minute, e.max_in_flight, e.strict_tokens,
          e.token_counting == "reserved", e.requests_per_day,  e.tokens_per_day};
}

AccountLimits stricter(const AccountLimits& a, const AccountLimits& b) {
  const auto least = [](auto x, auto y) { return x == 0 ? y : y == 0 ? x : std::min(x, y); };
  return {least(a.requests_per_minute, b.requests_per_minute),
          least(a.tokens_per_minute, b.tokens_per_minute),
          least(a.max_in_flight, b.max_in_flight),
          a.strict_tokens || b.strict_tokens,
          a.reserved_tokens || b.reserved_tokens,
          least(a.requests_per_day, b.requests_per_day),
          least(a.tokens_per_day, b.tokens_per_day)};
}

} // namespace

RateLimiter::AccountRef RateLimiter::account(const std::string& name, const AccountLimits& limits,
                                             Time now) {
  AccountRef& slot = accounts_[name];
  if (!slot) {
    slot = std::make_shared<Account>(name, limits, now, day_);
    for (const auto& block : spent_)
      if (block.account == name) slot->assume_spent(block, now);
    // Once: the account then stays until all of it is over.
    if (const auto of_day = days_.extract(name))
      for (const auto& note : of_day.mapped()) slot->assume_spent(note);
  }
  return slot;
}

void RateLimiter::recovered(const std::vector<journal::BlockNote>& blocks, Time now,
                            bool same_boot) {
  if (mutated("window_reset_on_restart")) return;
  spent_ = blocks;
  // The clock of another boot says nothing: its blocks count from now.
  if (!same_boot)
    for (auto& block : spent_) block.until = now;
}

void RateLimiter::days_recovered(std::vector<journal::DayNote> days) {
  if (mutated("day_reset_on_restart")) return;
  for (auto& note : days) {
    const std::string account = note.account;
    days_[account].push_back(std::move(note));
  }
}

void RateLimiter::endpoint_added(const EndpointOffer& offer, Time now) {
  AccountRef a = account(account_name(offer), limits_of(offer.endpoint), now);
  a->find_concurrency();
  const AccountRef before = endpoints_.add(offer, a);
  settle_limits(a, now);
  if (before && before != a) settle_limits(before, now);
}

void RateLimiter::endpoint_gone(EndpointId id, Time now) {
  if (const AccountRef account = endpoints_.remove(id)) settle_limits(account, now);
}

// Several may name one URL and key, each with limits of its own: the strictest of them hold. While
// nobody names it, the last ones stay.
void RateLimiter::settle_limits(const AccountRef& account, Time now) {
  std::optional<AccountLimits> strictest;
  for (const auto& [id, endpoint] : endpoints_.all()) {
    if (endpoint.account != account) continue;
    const AccountLimits limits = limits_of(endpoint.offer.endpoint);
    strictest = strictest ? stricter(*strictest, limits) : limits;
  }
  if (strictest && *strictest != account->limits()) account->set_limits(*strictest, now);
}

void RateLimiter::durable(std::uint64_t number) {
  for (auto& [name, account] : accounts_) account->durable(number);
  marks_.durable(number);
  money_.durable(number);
}

std::vector<journal::BlockNote> RateLimiter::reserve(Time now) {
  std::vector<journal::BlockNote> notes;
  forget_idle_accounts(now);
  const Duration commit_time = commit_time_.of_late(now);
  for (auto& [name, account] : accounts_) {
    if (account->numbers_attempts() && numbers_are_used_up()) continue;
    std::uint64_t& next = account->numbers_attempts() ? next_block_ : next_number_;
    if (auto note = account->reserve(next, now, commit_time)) {
      ++next;
      notes.push_back(std::move(*note));
    }
  }
  if (!notes.empty()) {
    auto& over = notes.front().over;
    over.insert(over.end(), over_.begin(), over_.end());
    over_.clear();
  }
  return notes;
}

RateLimiter::Marks RateLimiter::reserve_marks(Time now) {
  Marks marks{next_number_, marks_.reserve(next_number_, now, commit_time_.of_late(now))};
  if (!marks.notes.empty()) ++next_number_;
  return marks;
}

std::vector<journal::DayNote> RateLimiter::day_notes(Time now) {
  std::vector<journal::DayNote> notes;
  for (auto& [name, account] : accounts_)
    for (auto& note : account->day_notes(now)) notes.push_back(std::move(note));
  return notes;
}

std::vector<journal::LearnedNote> RateLimiter::learned_notes() {
  std::vector<journal::LearnedNote> notes;
  for (const auto& [id, job] : jobs_)
    for (const auto& [model, reserve] : job.reserves)
      if (std::string text = reserve->note(); !text.empty())
        notes.push_back({id, model, std::move(text)});
  return notes;
}

Time RateLimiter::wake_at() const {
  Time at = money_.wake_at();
  for (const auto& [name, account] : accounts_) at = std::min(at, account->next_day_notes_at());
  return at;
}

// Accounts of closed jobs and of workers that have left, once nothing of theirs counts any more.
void RateLimiter::forget_idle_accounts(Time now) {
  if (now < idle_sought_at_ + look_for_idle_every) return;
  idle_sought_at_ = now;
  std::erase_if(accounts_, [&](const auto& entry) {
    if (entry.second.use_count() > 1 || !entry.second->is_idle(now)) return false;
    const std::vector<std::uint64_t> blocks = entry.second->blocks();
    over_.insert(over_.end(), blocks.begin(), blocks.end());
    return true;
  });
  std::erase_if(spent_, [now](const auto& block) {
    return std::min(block.until, now) + defaults::block_hold <= now;
  });
}

std::uint32_t RateLimiter::in_flight(EndpointId id) const {
  const auto it = endpoints_.all().find(id);
  return it == endpoints_.all().end() ? 0 : it->second.account->in_flight();
}

EndpointStanding RateLimiter::standing(EndpointId id, Time now) const {
  const auto it = endpoints_.all().find(id);
  if (it == endpoints_.all().end()) return {};
  Account& account = *it->second.account;
  EndpointStanding standing{account.limits(), account.in_flight(), account.slots(), 0, {}};
  standing.used = account.used(now);
  standing.queue = account.queue(now);
  if (account.parked_until() > now) {
    standing.parked_ms = to_ms(account.parked_until() - now);
    standing.why = account.parked_why();
    standing.parked_for = WaitKind::cooldown;
  } else if (const auto asked_at = account.quota().refuses(now)) {
    standing.parked_ms = to_ms(*asked_at - now);
    standing.why = quota_used_up;
    standing.parked_for = WaitKind::quota;
  } else if (const auto until = account.breaker().refuses(now)) {
    standing.parked_ms = to_ms(*until - now);
    standing.why = endpoint_fails;
    standing.parked_for = WaitKind::breaker;
  }
  return standing;
}

} // namespace gristmill::rate_limiter
