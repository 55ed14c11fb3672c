#include "actors/rate_limiter/windows/day_window.hpp"

#include <algorithm>
#include <map>

namespace gristmill::rate_limiter {
namespace {

constexpr std::uint64_t day_ahead_share = 100; // of the remainder: one per cent

} // namespace

void DayWindow::set_most(std::uint64_t calls, std::uint64_t tokens) {
  calls_.set_amount_max(calls);
  tokens_.set_amount_max(tokens);
}

void DayWindow::advance(Time now) {
  calls_.advance(now);
  tokens_.advance(now);
  changed_.erase(changed_.begin(), changed_.upper_bound(now));
}

Time DayWindow::charge(std::uint64_t tokens, Duration life, Time now) {
  if (!limited()) return Time{};
  const Time until = now + hold_of(length_, life);
  const Time name = calls_.charge_until(1, until);
  tokens_.charge_until(tokens, until);
  changed_.insert(name);
  return name;
}

void DayWindow::charge_more(std::uint64_t tokens, Time name) {
  if (name == Time{} || calls_.held_until(name) == 0) return; // over already
  tokens_.charge_until(tokens, name);
  changed_.insert(name);
}

void DayWindow::refund(std::uint64_t calls, std::uint64_t tokens, Time name) {
  if (name == Time{}) return;
  calls_.refund(calls, name);
  tokens_.refund(tokens, name);
  changed_.insert(name);
}

std::uint64_t DayWindow::ahead(const SlidingWindow& window) {
  const std::uint64_t taken = std::min(window.held(), window.amount_max());
  return std::max((window.amount_max() - taken) / day_ahead_share, std::uint64_t{1});
}

std::vector<journal::DayNote>
DayWindow::notes(const std::string& account, std::span<const BudgetBlocks::Rest> rests, Time now) {
  if (now < next_notes_at()) return {};
  block_is_new_ = false;
  advance(now);
  struct Left {
    std::uint64_t calls = 0, tokens = 0;
  };
  std::map<Time, Left> left; // by bucket
  for (const BudgetBlocks::Rest& rest : rests) {
    // Until when its last call would count. Draws lie in this bucket or an earlier one, where they
    // then leave it in later notes.
    const Time end = calls_.end_of(rest.until + hold_of(length_, defaults::permit_life_max));
    if (calls_.limited()) left[end].calls += rest.calls;
    if (tokens_.limited()) left[end].tokens += rest.tokens;
    changed_.insert(end);
  }
  if (changed_.empty() && !is_empty()) changed_.insert(calls_.newest());
  std::vector<journal::DayNote> notes;
  for (const Time end : changed_) {
    const auto block = left.find(end);
    const Left more = block == left.end() ? Left{} : block->second;
    notes.push_back({account, end, calls_.held_until(end) + more.calls,
                     tokens_.held_until(end) + more.tokens, now});
  }
  changed_.clear();
  for (const auto& [end, rest] : left) changed_.insert(end);
  noted_at_ = now;
  return notes;
}

void DayWindow::assume_spent(const journal::DayNote& note) {
  calls_.charge_until(note.calls, note.until);
  tokens_.charge_until(note.tokens, note.until);
}

} // namespace gristmill::rate_limiter
