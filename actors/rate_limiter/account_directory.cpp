#include "actors/rate_limiter/account_directory.hpp"

#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr auto look_again = std::chrono::seconds{1}; // whether an account is idle by now

} // namespace

void AccountDirectory::recovered(const std::vector<journal::BlockNote>& blocks, Time now,
                                 bool same_boot) {
  if (mutated("window_reset_on_restart")) return;
  for (journal::BlockNote block : blocks) {
    // The clock of another boot says nothing: its blocks count from now.
    if (!same_boot) block.until = now;
    spent_[block.account].push_back(std::move(block));
  }
  spent_over_at_ = now + defaults::block_hold;
}

void AccountDirectory::days_recovered(std::vector<journal::DayNote> days) {
  if (mutated("day_reset_on_restart")) return;
  for (auto& note : days) {
    const std::string account = note.account;
    days_[account].push_back(std::move(note));
  }
}

AccountDirectory::Ref AccountDirectory::open(const std::string& name, const RateLimits& limits,
                                             Time now) {
  Ref& slot = accounts_[name];
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

AccountDirectory::Ref AccountDirectory::find(const std::string& name) const {
  const auto it = accounts_.find(name);
  return it == accounts_.end() ? nullptr : it->second;
}

void AccountDirectory::settle(const Ref& account, const std::optional<RateLimits>& limits,
                              Time now) {
  if (!limits) return leaving_.set(account->name(), now + look_again);
  if (*limits != account->limits()) account->set_limits(*limits, now);
  const Account::Parts before = account->parts();
  account->set_parts({part_of(*account, "input", limits->input_tokens_per_minute, now),
                      part_of(*account, "output", limits->output_tokens_per_minute, now)});
  if (before.input && !account->parts().input) leaves(before.input);
  if (before.output && !account->parts().output) leaves(before.output);
  touched(account);
}

// Windows of their own are accounts of their own, with blocks of their own.
AccountDirectory::Ref AccountDirectory::part_of(const Account& account, std::string_view what,
                                                std::uint64_t per_minute, Time now) {
  if (per_minute == 0) return nullptr;
  RateLimits limits{0, per_minute};
  limits.strict_tokens = account.limits().strict_tokens;
  Ref part = open(fmt::format("{}|{}", account.name(), what), limits, now);
  part->needs_no_numbers();
  if (limits != part->limits()) part->set_limits(limits, now);
  return part;
}

void AccountDirectory::touched(const Ref& account) {
  if (account->touch()) touched_.push_back(account);
  for (const Ref& part : {account->parts().input, account->parts().output})
    if (part && part->touch()) touched_.push_back(part);
}

void AccountDirectory::look_at_touched(Duration commit_time) {
  for (const Ref& account : touched_) {
    account->looked_at();
    reserving_.set(account->name(), account->blocks().reserves_at(commit_time));
    noting_.set(account->name(), account->next_day_notes_at());
  }
  touched_.clear();
}

std::vector<journal::BlockNote> AccountDirectory::reserve(NoteNumbers next, Duration commit_time,
                                                          Time now) {
  forget_idle(commit_time, now);
  look_at_touched(commit_time);
  std::vector<journal::BlockNote> notes;
  for (const std::string& name : reserving_.take(now)) {
    const Ref& account = accounts_.at(name);
    const bool numbers = account->blocks().numbers_attempts();
    if (numbers && next.attempts_are_used_up()) continue;
    std::uint64_t& number = numbers ? next.attempts : next.others;
    auto note = account->reserve(number, now, commit_time);
    if (!note) continue;
    writing_.emplace(number++, account);
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

void AccountDirectory::durable(std::uint64_t number) {
  const auto written = writing_.extract(number);
  if (!written) return;
  written.mapped()->durable(number);
  touched(written.mapped());
}

std::vector<journal::DayNote> AccountDirectory::day_notes(Duration commit_time, Time now) {
  look_at_touched(commit_time);
  std::vector<journal::DayNote> notes;
  for (const std::string& name : noting_.take(now)) {
    Account& account = *accounts_.at(name);
    for (auto& note : account.day_notes(now)) notes.push_back(std::move(note));
    noting_.set(name, account.next_day_notes_at());
  }
  return notes;
}

// Accounts of closed jobs and of workers that have left, once nothing of theirs counts any more.
void AccountDirectory::forget_idle(Duration commit_time, Time now) {
  if (now >= spent_over_at_) spent_.clear();
  std::erase_if(days_, [now](const auto& entry) {
    return std::all_of(entry.second.begin(), entry.second.end(),
                       [now](const journal::DayNote& note) { return note.until <= now; });
  });
  const std::vector<std::string> leaving = leaving_.take(now);
  if (leaving.empty()) return;
  look_at_touched(commit_time); // which keeps those that it has not looked at
  for (const std::string& name : leaving) {
    const auto it = accounts_.find(name);
    if (it == accounts_.end()) continue;
    Account& account = *it->second;
    if (it->second.use_count() > 1 || !account.is_idle(now)) {
      leaving_.set(name, std::max(account.idle_at(now), now + look_again));
      continue;
    }
    const std::vector<std::uint64_t> blocks = account.blocks().numbers();
    over_.insert(over_.end(), blocks.begin(), blocks.end());
    for (const Ref& part : {account.parts().input, account.parts().output})
      if (part) leaves(part);
    reserving_.forget(name);
    noting_.forget(name);
    accounts_.erase(it);
  }
}

void AccountDirectory::measure(Sizes& sizes) const {
  sizes["limiter.accounts"] = accounts_.size();
  sizes["limiter.blocks of earlier lives"] = spent_.size();
  sizes["limiter.days of earlier lives"] = days_.size();
  for (const auto& [name, account] : accounts_) account->measure(sizes);
}

} // namespace gristmill::rate_limiter
