#include "actors/coordinator/sessions/given_calls.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"

#include <algorithm>

namespace gristmill::coordinator {

GivenCalls::~GivenCalls() {
  for (const auto& [call, assigned] : calls_)
    if (all_ != nullptr && assigned.attempt && !assigned.given_up) all_->count(assigned.job, -1);
}

const Assigned* GivenCalls::find(CallId call) const {
  const auto it = calls_.find(call);
  return it == calls_.end() ? nullptr : &it->second;
}

std::uint32_t GivenCalls::held_of(JobId job) const {
  std::uint32_t held = 0;
  for (auto it = held_by_stream_.lower_bound({job, 0});
       it != held_by_stream_.end() && it->first.job == job; ++it)
    held += it->second.calls;
  return held;
}

std::uint32_t GivenCalls::held_of(const StreamId& stream) const {
  const auto it = held_by_stream_.find(stream);
  return it == held_by_stream_.end() ? 0 : it->second.calls;
}

std::size_t GivenCalls::held_bytes_of(const StreamId& stream) const {
  const auto it = held_by_stream_.find(stream);
  return it == held_by_stream_.end() ? 0 : it->second.bytes;
}

std::vector<CallId> GivenCalls::list_held() const {
  std::vector<CallId> held;
  for (const auto& [call, assigned] : calls_)
    if (!assigned.attempt) held.push_back(call);
  std::sort(held.begin(), held.end());
  return held;
}

std::vector<CallId> GivenCalls::list_of(JobId job) const {
  std::vector<CallId> calls;
  for (const auto& [call, assigned] : calls_)
    if (assigned.job == job) calls.push_back(call);
  std::sort(calls.begin(), calls.end());
  return calls;
}

void GivenCalls::give(CallId call, Assigned assigned) {
  earliest_deadline_ = std::min(earliest_deadline_, assigned.deadline);
  if (const auto [it, added] = calls_.emplace(call, std::move(assigned)); added) {
    count(it->second, 1);
    parts_ += it->second.parts.size();
  }
  check_counts();
}

Assigned GivenCalls::take(CallId call) {
  const auto it = calls_.find(call);
  GRISTMILL_CHECK(it != calls_.end(), "call {} is not the worker's", call.value);
  Assigned assigned = std::move(it->second);
  count(assigned, -1);
  parts_ -= assigned.parts.size();
  calls_.erase(it);
  check_counts();
  return assigned;
}

void GivenCalls::permit(CallId call, AttemptId attempt, EndpointId endpoint,
                        const PermitNote& note) {
  Assigned& assigned = calls_.at(call);
  count(assigned, -1);
  assigned.attempt = attempt;
  assigned.endpoint = endpoint;
  assigned.note = note;
  count(assigned, 1);
  check_counts();
}

void GivenCalls::unpermit(CallId call) {
  permit(call, AttemptId{}, EndpointId{});
  calls_.at(call).deadline = never;
}

void GivenCalls::expect_end(CallId call, Duration most, Time now) {
  const auto it = calls_.find(call);
  if (it == calls_.end()) return;
  Assigned& assigned = it->second;
  if (assigned.since == Time{}) assigned.since = now;
  assigned.deadline = mutated("call_without_end") ? never : now + most;
  earliest_deadline_ = std::min(earliest_deadline_, assigned.deadline);
}

void GivenCalls::postpone_ends(Time earliest) {
  for (auto& [call, assigned] : calls_) assigned.deadline = std::max(assigned.deadline, earliest);
}

void GivenCalls::ended(CallId call) {
  if (const auto it = calls_.find(call); it != calls_.end()) it->second.over = true;
}

void GivenCalls::withdraw(CallId call) {
  calls_.at(call).withdrawn = true;
}

void GivenCalls::give_up(CallId call) {
  Assigned& assigned = calls_.at(call);
  count(assigned, -1);
  assigned.given_up = assigned.charged = true;
  assigned.deadline = never;
  count(assigned, 1);
  check_counts();
}

std::vector<Released> GivenCalls::give_up_overdue(Time now) {
  std::vector<Released> overdue;
  if (now < earliest_deadline_) return overdue;
  earliest_deadline_ = never;
  for (const auto& [call, assigned] : calls_) {
    if (assigned.deadline <= now)
      overdue.push_back({call, assigned});
    else
      earliest_deadline_ = std::min(earliest_deadline_, assigned.deadline);
  }
  std::sort(overdue.begin(), overdue.end(),
            [](const Released& a, const Released& b) { return a.call < b.call; });
  for (const Released& released : overdue) give_up(released.call);
  return overdue;
}

void GivenCalls::count(const Assigned& assigned, int by) {
  const auto calls = static_cast<std::uint32_t>(by);
  if (assigned.attempt) {
    in_flight_ += calls;
    if (all_ != nullptr && !assigned.given_up) all_->count(assigned.job, by);
    overdue_ += assigned.given_up ? calls : 0;
    return;
  }
  held_ += calls;
  const std::size_t bytes = static_cast<std::size_t>(by) * assigned.bytes;
  held_bytes_ += bytes;
  const auto of_stream = held_by_stream_.try_emplace(assigned.stream()).first;
  of_stream->second.calls += calls;
  of_stream->second.bytes += bytes;
  if (of_stream->second.calls == 0) held_by_stream_.erase(of_stream);
}

void GivenCalls::check_counts() const {
  GRISTMILL_CHECK(counts_fit(), "{} calls, but {} held of {} bytes and {} in flight, {} overdue",
                  calls_.size(), held_, held_bytes_, in_flight_, overdue_);
}

bool GivenCalls::counts_fit() const {
  return std::size_t{held_} + in_flight_ == calls_.size() && overdue_ <= in_flight_ &&
         held_by_stream_.empty() == (held_ == 0) && (held_ > 0 || held_bytes_ == 0);
}

bool GivenCalls::invariant() const {
  std::uint32_t held = 0, in_flight = 0, overdue = 0;
  std::size_t bytes = 0, parts = 0;
  std::map<StreamId, Held> held_by_stream;
  Time earliest = never;
  for (const auto& [call, assigned] : calls_) {
    earliest = std::min(earliest, assigned.deadline);
    parts += assigned.parts.size();
    if (assigned.attempt) {
      ++in_flight;
      overdue += assigned.given_up;
    } else {
      ++held;
      bytes += assigned.bytes;
      Held& of_stream = held_by_stream[assigned.stream()];
      ++of_stream.calls;
      of_stream.bytes += assigned.bytes;
    }
  }
  return held == held_ && in_flight == in_flight_ && overdue == overdue_ && bytes == held_bytes_ &&
         parts == parts_ && held_by_stream == held_by_stream_ && earliest_deadline_ <= earliest;
}

} // namespace gristmill::coordinator
