// The accounts of RATE LIMITER: which there are, what the journal is told of them and has kept of
// those of earlier lives.
#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr auto look_again = std::chrono::seconds{1}; // whether an account is idle by now

std::string account_name(const EndpointOffer& offer) {
  const EndpointSpec& e = offer.endpoint;
  const std::string key = e.api_key_env.empty() ? e.api_key_file : e.api_key_env;
  // An announced endpoint is its worker's own: the same URL elsewhere is another server.
  if (offer.only) return fmt::format("endpoint:{}|{}|{}", e.url, key, offer.id.value);
  return fmt::format("endpoint:{}|{}", e.url, key);
}

} // namespace

RateLimiter::AccountRef RateLimiter::account(const std::string& name, const RateLimits& limits,
                                             Time now) {
  AccountRef& slot = accounts_[name];
  leaving_.forget(name);
  if (slot) return slot;
  slot = std::make_shared<Account>(name, limits, now, day_);
  // Once: the account then stays until all of it is over.
  if (const auto blocks = spent_.extract(name))
    for (const auto& block : blocks.mapped()) slot->assume_spent(block, now);
  if (const auto of_day = days_.extract(name))
    for (const auto& note : of_day.mapped()) slot->assume_spent(note);
  touched(slot);
  return slot;
}

void RateLimiter::recovered(const std::vector<journal::BlockNote>& blocks, Time now,
                            bool same_boot) {
  if (mutated("window_reset_on_restart")) return;
  for (journal::BlockNote block : blocks) {
    // The clock of another boot says nothing: its blocks count from now.
    if (!same_boot) block.until = now;
    spent_[block.account].push_back(std::move(block));
  }
  spent_over_at_ = now + defaults::block_hold;
}

void RateLimiter::days_recovered(std::vector<journal::DayNote> days) {
  if (mutated("day_reset_on_restart")) return;
  for (auto& note : days) {
    const std::string account = note.account;
    days_[account].push_back(std::move(note));
  }
}

void RateLimiter::endpoint_added(const EndpointOffer& offer, Time now) {
  const RateLimits limits = offer.endpoint.limits;
  AccountRef a = account(account_name(offer), limits, now);
  a->find_concurrency(found_.of(a->name()), now);
  const AccountRef before = endpoints_.add(offer, a, limits);
  settle_limits(a, now);
  if (before && before != a) settle_limits(before, now);
}

void RateLimiter::endpoint_gone(EndpointId id, Time now) {
  const Endpoint* leaving = endpoints_.find(id);
  const bool announced = leaving != nullptr && leaving->offer.only;
  const AccountRef account = endpoints_.remove(id);
  if (!account) return;
  // Of a worker's process, and of its next one it is another.
  if (announced) found_.forget(account->name());
  settle_limits(account, now);
}

// Several may name one URL and key, each with limits of its own: the strictest of them hold. While
// nobody names it, the last ones stay.
void RateLimiter::settle_limits(const AccountRef& account, Time now) {
  const auto& stated = endpoints_.stated(*account);
  if (stated.empty()) return leaving_.set(account->name(), now + look_again);
  RateLimits strictest = stated.begin()->first;
  for (const auto& [limits, endpoints] : stated) strictest = stricter(strictest, limits);
  if (strictest != account->limits()) account->set_limits(strictest, now);
  settle_part(account, account->parts().input, "input", strictest.input_tokens_per_minute, now);
  settle_part(account, account->parts().output, "output", strictest.output_tokens_per_minute, now);
  touched(account);
}

// Windows of their own are accounts of their own, with blocks of their own.
void RateLimiter::settle_part(const AccountRef& of, AccountRef& part, std::string_view what,
                              std::uint64_t per_minute, Time now) {
  if (per_minute == 0) return leave(part);
  RateLimits limits{0, per_minute};
  limits.strict_tokens = of->limits().strict_tokens;
  part = account(fmt::format("{}|{}", of->name(), what), limits, now);
  part->needs_no_numbers();
  if (limits != part->limits()) part->set_limits(limits, now);
}

// It is forgotten once nothing counts any more.
void RateLimiter::leave(AccountRef& part) {
  if (part) leaving_.set(part->name(), Time::min());
  part.reset();
}

void RateLimiter::touched(const AccountRef& account) {
  if (account->touch()) touched_.push_back(account);
  for (const AccountRef& part : {account->parts().input, account->parts().output})
    if (part && part->touch()) touched_.push_back(part);
}

void RateLimiter::look_at_touched(Time now) {
  const Duration commit_time = commit_time_.of_late(now);
  for (const AccountRef& account : touched_) {
    account->looked_at();
    reserving_.set(account->name(), account->reserves_at(commit_time));
    noting_.set(account->name(), account->next_day_notes_at());
  }
  touched_.clear();
}

void RateLimiter::durable(std::uint64_t number) {
  if (const auto written = writing_.extract(number)) {
    written.mapped()->durable(number);
    touched(written.mapped());
  }
  marks_.durable(number);
  money_.durable(number);
}

std::vector<journal::BlockNote> RateLimiter::reserve(Time now) {
  forget_idle_accounts(now);
  look_at_touched(now);
  const Duration commit_time = commit_time_.of_late(now);
  std::vector<journal::BlockNote> notes;
  for (const std::string& name : reserving_.take(now)) {
    const AccountRef& account = accounts_.at(name);
    if (account->numbers_attempts() && numbers_are_used_up()) continue;
    std::uint64_t& next = account->numbers_attempts() ? next_block_ : next_number_;
    auto note = account->reserve(next, now, commit_time);
    if (!note) continue;
    writing_.emplace(next++, account);
    touched(account); // its day is to be noted as well
    notes.push_back(std::move(*note));
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
  look_at_touched(now);
  std::vector<journal::DayNote> notes;
  for (const std::string& name : noting_.take(now)) {
    Account& account = *accounts_.at(name);
    for (auto& note : account.day_notes(now)) notes.push_back(std::move(note));
    noting_.set(name, account.next_day_notes_at());
  }
  return notes;
}

std::vector<journal::ConcurrencyNote> RateLimiter::concurrency_notes() {
  return found_.notes();
}

Time RateLimiter::wake_at() const {
  return std::min(money_.wake_at(), noting_.next());
}

// Accounts of closed jobs and of workers that have left, once nothing of theirs counts any more.
void RateLimiter::forget_idle_accounts(Time now) {
  if (now >= spent_over_at_) spent_.clear();
  std::erase_if(days_, [now](const auto& entry) {
    return std::all_of(entry.second.begin(), entry.second.end(),
                       [now](const journal::DayNote& note) { return note.until <= now; });
  });
  const std::vector<std::string> leaving = leaving_.take(now);
  if (leaving.empty()) return;
  look_at_touched(now); // which keeps those that it has not looked at
  for (const std::string& name : leaving) {
    const auto it = accounts_.find(name);
    if (it == accounts_.end()) continue;
    Account& account = *it->second;
    if (it->second.use_count() > 1 || !it->second->is_idle(now)) {
      leaving_.set(name, std::max(account.idle_at(now), now + look_again));
      continue;
    }
    const std::vector<std::uint64_t> blocks = account.blocks();
    over_.insert(over_.end(), blocks.begin(), blocks.end());
    leave(account.parts().input);
    leave(account.parts().output);
    reserving_.forget(name);
    noting_.forget(name);
    accounts_.erase(it);
  }
}

void RateLimiter::measure(Sizes& sizes) const {
  sizes["limiter.accounts"] = accounts_.size();
  sizes["limiter.jobs"] = jobs_.size();
  sizes["limiter.permits out"] = out_.size();
  sizes["limiter.endpoints"] = endpoints_.size();
  sizes["limiter.money"] = money_.size();
  sizes["limiter.prefixes"] = prefixes_.size();
  sizes["limiter.blocks of earlier lives"] = spent_.size();
  sizes["limiter.days of earlier lives"] = days_.size();
  sizes["limiter.found limits"] = found_.size();
  for (const auto& [name, account] : accounts_) account->measure(sizes);
  for (const auto& [id, job] : jobs_)
    sizes["limiter.models"] += job.reserves.size() + job.refusals.size();
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
    standing.why = info(WaitKind::quota).words;
    standing.parked_for = WaitKind::quota;
  } else if (const auto until = account.hold().refuses(now)) {
    standing.parked_ms = to_ms(*until - now);
    standing.why = info(WaitKind::breaker).words;
    standing.parked_for = WaitKind::breaker;
  }
  return standing;
}

} // namespace gristmill::rate_limiter
