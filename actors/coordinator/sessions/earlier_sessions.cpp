#include "actors/coordinator/sessions/earlier_sessions.hpp"

#include "actors/kit/defaults.hpp"
#include "protocol/limits.hpp"

#include <algorithm>

namespace gristmill::coordinator {

EarlierSessions::EarlierSessions(Epoch epoch, std::vector<journal::SessionNote> expected,
                                 bool workers_died, Time now)
    : epoch_{epoch}, expected_{std::move(expected)}, workers_died_{workers_died},
      grace_ends_{expected_.empty() || workers_died ? now : now + defaults::restart_grace} {
  if (workers_died) return;
  for (const journal::SessionNote& before : expected_) processes_.insert(before.process);
}

bool EarlierSessions::may_have_been_given(const protocol::Claim& claim, Nonce process) {
  if (!processes_.contains(process)) return false;
  if (claim.attempt.epoch() == 0 || claim.attempt.epoch() >= epoch_.value) return false;
  const auto mark = marks_.find(claim.job());
  if (mark == marks_.end()) return false;
  const auto may_have_been_called = [&](const PartId& part) {
    return part.job == claim.job() && part.item < mark->second;
  };
  if (!std::all_of(claim.parts.begin(), claim.parts.end(), may_have_been_called)) return false;
  if (const auto it = claimed_.find(claim.attempt); it != claimed_.end())
    return it->second == process;
  return claimed_.size() < limits::departed_calls_max &&
         claimed_.emplace(claim.attempt, process).second;
}

std::vector<journal::SessionNote> EarlierSessions::greeted_by(const protocol::Hello& hello,
                                                              bool empty_handed) {
  std::vector<Nonce> settled{hello.process};
  for (const journal::SessionNote& before : expected_) {
    if (!empty_handed || before.worker != hello.name) continue;
    settled.push_back(before.process);
    if (before.process == hello.process) continue;
    all_told_ = false;
    never_told(before);
  }
  std::vector<journal::SessionNote> closed;
  for (const Nonce process : settled)
    for (journal::SessionNote& note : expect_no_more(process)) closed.push_back(std::move(note));
  return closed;
}

std::optional<EarlierSessions::GraceOver> EarlierSessions::end_grace(Time now) {
  if (!grace_ || (now < grace_ends_ && !expected_.empty())) return std::nullopt;
  grace_ = false;
  for (const journal::SessionNote& before : expected_) never_told(before);
  all_told_ &= expected_.empty() || workers_died_;
  GraceOver over{.all_told = all_told_};
  while (!expected_.empty())
    for (journal::SessionNote& note : expect_no_more(expected_.back().process))
      over.closed.push_back(std::move(note));
  return over;
}

std::uint64_t EarlierSessions::untold_calls() const {
  std::uint64_t calls = 0;
  for (const auto& [process, in_flight] : untold_) calls += in_flight;
  return calls;
}

// A process may have had several sessions, one after the other.
void EarlierSessions::never_told(const journal::SessionNote& lost) {
  std::uint64_t& calls = untold_[lost.process];
  const std::uint64_t most = lost.calls == 0 ? limits::worker_calls_max : lost.calls;
  calls = std::max(calls, most);
}

std::vector<journal::SessionNote> EarlierSessions::expect_no_more(Nonce process) {
  std::vector<journal::SessionNote> closed;
  std::erase_if(expected_, [&](const journal::SessionNote& before) {
    if (before.process != process) return false;
    closed.push_back({before.session, before.worker, before.process, false});
    return true;
  });
  return closed;
}

} // namespace gristmill::coordinator
