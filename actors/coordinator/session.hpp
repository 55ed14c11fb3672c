// SESSION: what the coordinator knows of one worker's connection and of the calls it gave to it.
// Plain bookkeeping; the rules that change it stand in roster.cpp and coordinator.cpp.
// Invariant: held_calls, held_bytes and in_flight count what `calls` lists, and so do all sessions'
// shares of an InFlight together.
#pragma once

#include "actors/coordinator/gateway.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/time.hpp"
#include "protocol/grammar.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>

namespace gristmill::coordinator {

// A call that a worker has: held without a permit, or permitted and perhaps in flight.
struct Assigned {
  JobId job;
  std::uint64_t item = 0;
  std::uint64_t token_bound = 0;
  std::size_t bytes = 0;
  AttemptId attempt; // set: permitted
  EndpointId endpoint;
  std::string model = {}; // that the call was planned for; empty = the job's
  std::uint64_t output_bound = 0;
  std::uint64_t most_nano_usd = 0; // permitted: that it may cost, of a job with a budget of money
  std::vector<EndpointId> failed_at = {};
  std::uint64_t prefix = 0;
  Time since{};      // when it was permitted by this life of ours
  bool over = false; // its worker keeps the outcome
};

enum class SessionState : std::uint8_t {
  greeted, // Hello accepted, not yet durable: nothing is sent
  active,
  suspect, // silent: gets nothing more
  closed,  // its connection is gone; waits for a Hello
};

// Permitted calls per job, of all sessions: whoever lists jobs must not walk every worker's calls.
class InFlight {
public:
  std::uint32_t of(JobId job) const {
    const auto it = jobs_.find(job);
    return it == jobs_.end() ? 0 : it->second;
  }
  void count(JobId job, int by) {
    const auto of_job = jobs_.try_emplace(job).first;
    of_job->second += static_cast<std::uint32_t>(by);
    if (of_job->second == 0) jobs_.erase(of_job);
  }

private:
  std::map<JobId, std::uint32_t> jobs_;
};

class Session {
public:
  // `all` outlives it.
  explicit Session(Epoch epoch, InFlight* all = nullptr)
      : grammar{protocol::Direction::from_worker, epoch}, all_{all} {}
  ~Session() {
    for (const auto& [call, assigned] : calls_)
      if (all_ != nullptr && assigned.attempt) all_->count(assigned.job, -1);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  SessionId id;
  PeerId peer;
  std::string user, name;
  Nonce process;
  std::uint32_t hello = 0; // number of the Hello that it began with
  protocol::Capacity capacity;
  SessionState state = SessionState::greeted;
  protocol::Welcome welcome;         // sent when the session is durable
  std::vector<EndpointId> endpoints; // announced
  protocol::Grammar grammar;
  std::uint64_t seq = 0;      // of the last frame sent
  std::uint64_t told_seq = 0; // of the last one that changed what the worker has in hand
  Time last_heard{}, last_sent{}, closed_at{};
  std::set<JobId> jobs_opened, jobs_claimed; // told to it; of what its Hello listed
  bool draining = false;                     // gets nothing more
  bool told_to_drain = false; // by us, not by a signal of its own; outlives its connection
  std::uint64_t completed = 0;
  int differing_beats = 0;

  const std::unordered_map<CallId, Assigned>& calls() const { return calls_; }
  std::uint32_t held() const { return held_; }
  std::uint32_t in_flight() const { return in_flight_; }
  std::size_t held_bytes() const { return held_bytes_; }
  std::uint32_t held_of(JobId job) const {
    const auto it = held_by_job_.find(job);
    return it == held_by_job_.end() ? 0 : it->second;
  }

  void give(CallId call, Assigned assigned) {
    if (const auto [it, added] = calls_.emplace(call, std::move(assigned)); added)
      count(it->second, 1);
  }
  const Assigned* find(CallId call) const {
    const auto it = calls_.find(call);
    return it == calls_.end() ? nullptr : &it->second;
  }
  void permit(CallId call, AttemptId attempt, EndpointId endpoint,
              std::uint64_t most_nano_usd = 0) {
    Assigned& assigned = calls_.at(call);
    count(assigned, -1);
    assigned.attempt = attempt;
    assigned.endpoint = endpoint;
    assigned.most_nano_usd = most_nano_usd;
    count(assigned, 1);
  }
  void begun(CallId call, Time now) { calls_.at(call).since = now; }
  void ended(CallId call) {
    if (const auto it = calls_.find(call); it != calls_.end()) it->second.over = true;
  }
  void unpermit(CallId call) { permit(call, AttemptId{}, EndpointId{}); }
  Assigned take(CallId call) {
    const auto it = calls_.find(call);
    GRISTMILL_CHECK(it != calls_.end(), "call {} is not of the session", call.value);
    Assigned assigned = std::move(it->second);
    count(assigned, -1);
    calls_.erase(it);
    return assigned;
  }

  // Calls per second, smoothed over some seconds; what "about a second of calls" is measured by.
  double rate() const { return rate_; }
  void beat(Time now) {
    const double seconds = to_seconds(now - measured_at_);
    if (seconds < 0.25) return;
    const double current = static_cast<double>(completed - measured_) / seconds;
    rate_ = measured_at_ == Time{} ? 0 : std::max(current, rate_ + 0.5 * (current - rate_));
    measured_ = completed;
    measured_at_ = now;
  }

private:
  void count(const Assigned& a, int by) {
    if (a.attempt) {
      in_flight_ += static_cast<std::uint32_t>(by);
      if (all_ != nullptr) all_->count(a.job, by);
    } else {
      held_ += static_cast<std::uint32_t>(by);
      held_bytes_ += static_cast<std::size_t>(by) * a.bytes;
      const auto of_job = held_by_job_.try_emplace(a.job).first;
      of_job->second += static_cast<std::uint32_t>(by);
      if (of_job->second == 0) held_by_job_.erase(of_job);
    }
  }

  InFlight* all_;
  std::unordered_map<CallId, Assigned> calls_;
  std::uint32_t held_ = 0, in_flight_ = 0;
  std::size_t held_bytes_ = 0;
  std::map<JobId, std::uint32_t> held_by_job_;
  double rate_ = 0;
  std::uint64_t measured_ = 0;
  Time measured_at_{};
};

} // namespace gristmill::coordinator
