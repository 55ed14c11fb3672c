// SESSION: what the coordinator knows of one worker's connection and of the calls it gave to it.
// Plain bookkeeping; the rules that change it stand in roster.cpp and coordinator.cpp.
// Invariant: held_calls, held_bytes and in_flight count what `calls` lists, and so do all sessions'
// shares of an InFlight together.
#pragma once

#include "actors/coordinator/gateway.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/time.hpp"
#include "actors/words/doubt.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/grammar.hpp"
#include "protocol/node/messages.hpp"

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

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
  std::vector<EndpointId> failed_at = {};
  std::uint64_t prefix = 0;
  PermitNote note = {};  // permitted: what RATE LIMITER said of it
  Time since{};          // when it was permitted by this life of ours
  bool over = false;     // its worker keeps the outcome
  Time deadline = never; // permitted: its worker must have said by then how it ended
  // Charged and offered to others: what its worker says of it still comes late, if it comes.
  bool given_up = false;
  // Nobody wants its answer any more: should its permit come back unused, the call is gone.
  bool withdrawn = false;
  bool charged = false; // what it may have cost is counted already
  bool earlier = false; // nothing is known of its bounds: permitted by an earlier life of ours
  bool is_of(const std::vector<PartId>& parts) const {
    return parts.size() == 1 && parts.front().job == job && parts.front().item == item;
  }
};

// An outcome that was taken from a worker, which may tell it again until it knows of its record.
struct Answered {
  CallId call;
  JobId job;
  std::uint64_t item = 0;
};

enum class SessionState : std::uint8_t {
  greeted, // Hello accepted, not yet durable: nothing is sent
  active,
  suspect, // silent: gets nothing more
  closed,  // its connection is gone; waits for a Hello
};

// A worker that did nothing with what it was given rests for a while; then, or at once where its
// endpoint is away, it gets a single call at a time, after all others have been served, until it
// shows that it works:
enum class Trial : std::uint8_t {
  none,
  until_it_asks,    // it asked for none of the calls that it held
  until_it_answers, // it did not say how calls ended: to ask for more shows nothing
  until_it_serves,  // its endpoint is away, and others serve its model
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
      if (all_ != nullptr && assigned.attempt && !assigned.given_up) all_->count(assigned.job, -1);
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
  Time met_at{}; // its process said Hello for the first time in this life of ours
  // Jobs that its worker knows, and what they take of its memory; the one used last behind.
  std::list<std::pair<JobId, std::size_t>> jobs_opened;
  std::set<JobId> jobs_met;   // it may keep something of: told to it, or listed by its Hello
  bool draining = false;      // gets nothing more
  bool told_to_drain = false; // by us, not by a signal of its own; outlives its connection
  std::uint64_t completed = 0;
  int differing_beats = 0;
  std::vector<Time> strikes; // when it said what cannot be true, within the last minute
  // When it last asked for a permit, returned a call or said how one ended, or was given its first.
  Time progress_at{};
  Time rests_until{}; // it is given nothing until then
  Trial trial = Trial::none;

  const std::unordered_map<CallId, Assigned>& calls() const { return calls_; }
  std::uint32_t held() const { return held_; }
  std::uint32_t in_flight() const { return in_flight_; }
  std::uint32_t overdue() const { return overdue_; } // of those in flight: given up
  std::size_t held_bytes() const { return held_bytes_; }
  bool on_trial() const { return trial != Trial::none; }
  // It is not known to do anything with a call.
  bool is_in_doubt() const { return on_trial() && trial != Trial::until_it_serves; }
  std::uint32_t held_of(JobId job) const {
    const auto it = held_by_job_.find(job);
    return it == held_by_job_.end() ? 0 : it->second;
  }

  // True: it does not know the job yet.
  bool open(JobId job, std::size_t bytes) {
    const auto known = std::find_if(jobs_opened.begin(), jobs_opened.end(),
                                    [job](const auto& entry) { return entry.first == job; });
    if (known != jobs_opened.end()) {
      jobs_opened.splice(jobs_opened.end(), jobs_opened, known);
      return false;
    }
    jobs_opened.emplace_back(job, std::max(bytes, limits::kept_spec_bytes_least));
    jobs_met.insert(job);
    return true;
  }
  bool close(JobId job) {
    return std::erase_if(jobs_opened, [job](const auto& entry) { return entry.first == job; }) != 0;
  }
  // Those that it need not know any longer, because it holds nothing of them and knows many others.
  std::vector<JobId> close_idle_jobs() {
    std::size_t bytes = 0;
    for (const auto& [job, size] : jobs_opened) bytes += size;
    std::vector<JobId> closed;
    std::erase_if(jobs_opened, [&](const auto& entry) {
      if (bytes <= limits::kept_specs_bytes_max || held_of(entry.first) > 0) return false;
      bytes -= entry.second;
      closed.push_back(entry.first);
      return true;
    });
    return closed;
  }

  void give(CallId call, Assigned assigned) {
    earliest_deadline_ = std::min(earliest_deadline_, assigned.deadline);
    if (const auto [it, added] = calls_.emplace(call, std::move(assigned)); added)
      count(it->second, 1);
  }
  const Assigned* find(CallId call) const {
    const auto it = calls_.find(call);
    return it == calls_.end() ? nullptr : &it->second;
  }
  void permit(CallId call, AttemptId attempt, EndpointId endpoint, const PermitNote& note = {}) {
    Assigned& assigned = calls_.at(call);
    count(assigned, -1);
    assigned.attempt = attempt;
    assigned.endpoint = endpoint;
    assigned.note = note;
    count(assigned, 1);
  }
  void begun(CallId call, Time now, Time deadline) {
    Assigned& assigned = calls_.at(call);
    assigned.since = now;
    assigned.deadline = deadline;
    earliest_deadline_ = std::min(earliest_deadline_, deadline);
  }
  void ended(CallId call) {
    if (const auto it = calls_.find(call); it != calls_.end()) it->second.over = true;
  }
  void unpermit(CallId call) {
    permit(call, AttemptId{}, EndpointId{});
    calls_.at(call).deadline = never;
  }
  void withdraw(CallId call) { calls_.at(call).withdrawn = true; }
  void give_up(CallId call) {
    Assigned& assigned = calls_.at(call);
    count(assigned, -1);
    assigned.given_up = assigned.charged = true;
    assigned.deadline = never;
    count(assigned, 1);
  }
  void postpone_deadlines(Time earliest) {
    for (auto& [call, assigned] : calls_) assigned.deadline = std::max(assigned.deadline, earliest);
  }
  // Calls whose time is over, in the order of their ids.
  std::vector<CallId> past_deadline(Time now) {
    std::vector<CallId> past;
    if (now < earliest_deadline_) return past;
    earliest_deadline_ = never;
    for (const auto& [call, assigned] : calls_) {
      if (assigned.deadline <= now) {
        past.push_back(call);
      } else {
        earliest_deadline_ = std::min(earliest_deadline_, assigned.deadline);
      }
    }
    std::sort(past.begin(), past.end());
    return past;
  }
  Assigned take(CallId call) {
    const auto it = calls_.find(call);
    GRISTMILL_CHECK(it != calls_.end(), "call {} is not of the session", call.value);
    Assigned assigned = std::move(it->second);
    count(assigned, -1);
    calls_.erase(it);
    return assigned;
  }

  // ---- what it may still say of calls that are no longer its own -----------------------------
  // Nobody wants to know how the attempt ends: it is acknowledged, and that is all.
  void drop(AttemptId attempt) {
    dropped_.insert(attempt);
    if (dropped_.size() > limits::frame_elements_max) dropped_.erase(dropped_.begin());
  }
  bool take_dropped(AttemptId attempt) { return dropped_.erase(attempt) != 0; }
  std::size_t dropped() const { return dropped_.size(); } // it may be making so many calls more

  void answered(AttemptId attempt, const Answered& answer) {
    answered_.insert_or_assign(attempt, answer);
    // No release of ours keeps so many.
    if (answered_.size() > 2 * std::size_t{limits::frame_elements_max})
      answered_.erase(answered_.begin());
  }
  bool has_answered(const protocol::Claim& claim) const {
    const auto it = answered_.find(claim.attempt);
    return it != answered_.end() && it->second.call == claim.call && claim.parts.size() == 1 &&
           claim.parts.front().job == it->second.job && claim.parts.front().item == it->second.item;
  }
  // It is told in this frame that the attempt is recorded, and will not tell it again once it has
  // heard that.
  void told_recorded(AttemptId attempt) {
    if (answered_.contains(attempt)) recorded_in_.emplace_back(seq, attempt);
  }
  void heard_by_worker(std::uint64_t ack) {
    for (; !recorded_in_.empty() && recorded_in_.front().first <= ack; recorded_in_.pop_front())
      answered_.erase(recorded_in_.front().second);
    for (; !unheard_.empty() && unheard_.front().first <= ack; unheard_.pop_front())
      unheard_bytes_ -= unheard_.front().second;
  }
  // Frames that are large, and that it has not said to have heard.
  void sent_bytes(std::size_t bytes) {
    unheard_.emplace_back(seq, bytes);
    unheard_bytes_ += bytes;
  }
  std::size_t unheard_bytes() const { return unheard_bytes_; }
  std::size_t remembered() const { return calls_.size() + answered_.size(); }

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
      if (all_ != nullptr && !a.given_up) all_->count(a.job, by);
      overdue_ += a.given_up ? static_cast<std::uint32_t>(by) : 0;
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
  std::uint32_t held_ = 0, in_flight_ = 0, overdue_ = 0;
  Time earliest_deadline_ = never; // no call's is earlier
  std::set<AttemptId> dropped_;
  std::unordered_map<AttemptId, Answered> answered_;
  std::deque<std::pair<std::uint64_t, AttemptId>> recorded_in_; // by number of the frame
  std::deque<std::pair<std::uint64_t, std::size_t>> unheard_;
  std::size_t unheard_bytes_ = 0;
  std::size_t held_bytes_ = 0;
  std::map<JobId, std::uint32_t> held_by_job_;
  double rate_ = 0;
  std::uint64_t measured_ = 0;
  Time measured_at_{};
};

} // namespace gristmill::coordinator
