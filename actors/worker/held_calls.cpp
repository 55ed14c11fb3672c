#include "actors/worker/held_calls.hpp"

#include <algorithm>

namespace gristmill::worker {

std::vector<CallId> HeldCalls::all() const {
  std::vector<CallId> all;
  for (const auto& [call, held] : calls_) all.push_back(call);
  std::sort(all.begin(), all.end());
  return all;
}

bool HeldCalls::hold(protocol::PlannedCall call, State state) {
  const CallId id = call.call;
  const std::size_t bytes = call.bytes();
  const JobId job = call.job();
  if (!calls_.emplace(id, Held{std::move(call), state, {}}).second) return false;
  bytes_ += bytes;
  ++of_job_[job];
  return true;
}

void HeldCalls::add(protocol::PlannedCall call) {
  const CallId id = call.call;
  if (hold(std::move(call), State::ready)) ready_.push_back(id);
}

void HeldCalls::add_without_texts(protocol::PlannedCall call) {
  hold(std::move(call), State::reading);
}

void HeldCalls::drop_reading() {
  std::vector<CallId> reading;
  for (const auto& [call, held] : calls_)
    if (held.state == State::reading) reading.push_back(call);
  for (const CallId call : reading) take(call);
}

void HeldCalls::has_texts(CallId call, std::vector<std::string> texts) {
  const auto it = calls_.find(call);
  if (it == calls_.end() || it->second.state != State::reading) return;
  auto text = texts.begin();
  for (protocol::PlannedPart& part : it->second.planned.parts)
    if (part.range && text != texts.end()) part.raw = std::move(*text++);
  it->second.state = State::ready;
  ready_.push_back(call);
}

// The call is no longer asked for: its Need has one call less to wait for.
void HeldCalls::answered(Held& held, CallId call) {
  if (held.state != State::asked) return;
  --asked_count_;
  const auto need = needs_.find(held.nonce);
  if (need == needs_.end()) return;
  need->second.calls.erase(call);
  if (need->second.calls.empty()) needs_.erase(need);
}

std::optional<protocol::PlannedCall> HeldCalls::take(CallId call) {
  const auto it = calls_.find(call);
  if (it == calls_.end()) return std::nullopt;
  answered(it->second, call);
  protocol::PlannedCall planned = std::move(it->second.planned);
  bytes_ -= planned.bytes();
  calls_.erase(it);
  const auto of_job = of_job_.find(planned.job());
  if (--of_job->second == 0) of_job_.erase(of_job);
  return planned;
}

std::vector<CallId> HeldCalls::ask(std::size_t most, Nonce nonce, Time now, std::size_t ahead) {
  std::vector<CallId> asked;
  while (asked.size() < most + ahead && !ready_.empty()) {
    const CallId call = ready_.front();
    ready_.pop_front();
    const auto it = calls_.find(call);
    if (it == calls_.end() || it->second.state != State::ready) continue;
    it->second.state = State::asked;
    it->second.nonce = nonce;
    it->second.ahead = asked.size() >= most;
    ++asked_count_;
    asked.push_back(call);
  }
  if (!asked.empty()) needs_[nonce] = {now, {asked.begin(), asked.end()}};
  return asked;
}

std::optional<Time> HeldCalls::sent_at(Nonce nonce) const {
  const auto it = needs_.find(nonce);
  return it == needs_.end() ? std::nullopt : std::optional{it->second.at};
}

void HeldCalls::wait(Nonce nonce, const std::vector<CallId>& calls, Time until) {
  std::vector<CallId> ahead;
  for (const CallId call : calls) {
    const auto it = calls_.find(call);
    if (it == calls_.end() || it->second.state != State::asked || it->second.nonce != nonce)
      continue;
    if (it->second.ahead) {
      ahead.push_back(call);
      continue;
    }
    answered(it->second, call);
    it->second.state = State::waiting;
    waiting_.push({until, call});
  }
  // They are pushed to the front one by one.
  for (; !ahead.empty(); ahead.pop_back()) ready_again(ahead.back());
}

void HeldCalls::permitted(CallId call) {
  Held& held = calls_.at(call);
  answered(held, call);
  held.state = State::permitted;
}

void HeldCalls::make_ready(CallId call, Held& held) {
  answered(held, call);
  held.state = State::ready;
  ready_.push_front(call);
}

void HeldCalls::ready_again(CallId call) {
  const auto it = calls_.find(call);
  if (it != calls_.end() && it->second.state > State::ready) make_ready(call, it->second);
}

void HeldCalls::wake(std::size_t most) {
  for (; most > 0 && !waiting_.empty(); --most) {
    ready_again(waiting_.top().call);
    waiting_.pop();
  }
}

void HeldCalls::advance(Time now, Duration repeat) {
  std::vector<CallId> due;
  while (!waiting_.empty() && waiting_.top().at <= now) {
    due.push_back(waiting_.top().call);
    waiting_.pop();
  }
  // What was asked for and not answered goes before all others: its permit may be on its way, and
  // another call in its place would be one too many.
  std::vector<CallId> again;
  for (const auto& [nonce, need] : needs_)
    if (now - need.at >= repeat) again.insert(again.end(), need.calls.begin(), need.calls.end());
  // The oldest first: they are pushed to the front one by one.
  for (auto* calls : {&due, &again}) {
    std::sort(calls->begin(), calls->end(), std::greater<>{});
    for (const CallId call : *calls) ready_again(call);
  }
}

Time HeldCalls::next_due(Duration repeat) const {
  Time at = waiting_.empty() ? never : waiting_.top().at;
  for (const auto& [nonce, need] : needs_) at = std::min(at, need.at + repeat);
  return at;
}

void HeldCalls::forget_needs() {
  std::vector<CallId> asked;
  for (const auto& [nonce, need] : needs_)
    asked.insert(asked.end(), need.calls.begin(), need.calls.end());
  std::sort(asked.begin(), asked.end(), std::greater<>{});
  for (const CallId call : asked) ready_again(call);
}

} // namespace gristmill::worker
