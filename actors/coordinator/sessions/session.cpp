#include "actors/coordinator/sessions/session.hpp"

#include "actors/coordinator/sessions/proof.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/rules/by_reference.hpp"

#include <algorithm>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

// A frame's lists are bounded; what may be longer goes in pieces.
constexpr std::size_t list_piece = 8'192;

template <class T> std::vector<std::vector<T>> pieces_of(const std::vector<T>& list) {
  std::vector<std::vector<T>> pieces;
  for (std::size_t from = 0; from < list.size(); from += list_piece) {
    const auto begin = list.begin() + static_cast<std::ptrdiff_t>(from);
    const auto count = std::min(list_piece, list.size() - from);
    pieces.emplace_back(begin, begin + static_cast<std::ptrdiff_t>(count));
  }
  return pieces;
}

// Whether it changes what the worker has in hand.
bool changes_its_books(const Message& message) {
  return std::holds_alternative<Batch>(message) || std::holds_alternative<Permits>(message) ||
         std::holds_alternative<Cancel>(message) || std::holds_alternative<Welcome>(message);
}

// Of a message that may be large, about.
std::size_t large_bytes_of(const Message& message) {
  std::size_t bytes = 0;
  if (const auto* batch = std::get_if<Batch>(&message))
    for (const PlannedCall& call : batch->calls) bytes += call.bytes();
  if (const auto* opened = std::get_if<JobOpened>(&message)) bytes += opened->spec.size();
  return bytes;
}

} // namespace

void Session::begin(SessionId session, PeerId connection, std::string of_user,
                    const Hello& greeting, Time now) {
  id = session;
  grammar.begin(id);
  peer = std::move(connection);
  user = std::move(of_user);
  name = greeting.name;
  process = greeting.process;
  hello = greeting.number;
  capacity = greeting.capacity;
  welcome.heartbeat_ms = static_cast<std::uint32_t>(to_ms(defaults::heartbeat));
  welcome.outcome_window_bytes = limits::outcome_window_bytes;
  last_heard = last_sent = progress_at_ = met_at = now;
}

void Session::goes_on_from(const Session& last) {
  completed = last.completed;
  met_at = last.met_at;
  strikes_ = last.strikes_;
  rests_until_ = last.rests_until_;
  trial_ = last.trial_;
  told_to_drain = draining = last.told_to_drain;
}

void Session::durable(Time now) {
  state = SessionState::active;
  last_heard = now; // it waited for us, however long the journal took
  calls.postpone_ends(now + defaults::call_margin); // what has ended is told only now
  progress_at_ = now;
}

void Session::connection_closed(Time now) {
  peer.clear();
  state = SessionState::closed;
  closed_at = now;
}

void Session::announced(std::vector<EndpointId> ids) {
  endpoints = std::move(ids);
  welcome.endpoints = endpoints;
}

void Session::say(Message message, Time now) {
  if (!may_be_told()) return;
  last_sent = now;
  waiting_bytes_ += large_bytes_of(message);
  speech_.say(std::move(message));
  if (voices_ != nullptr) voices_->speaks(id);
}

void Session::say_aside(Message message, Time now) {
  if (!may_be_told()) return;
  waiting_bytes_ += large_bytes_of(message);
  speech_.say(std::move(message));
  wait_with(now + defaults::aside_most);
}

void Session::wait_with(Time until) {
  if (leaves_by_ != never) return;
  leaves_by_ = voices_ != nullptr ? voices_->waits(id, until) : until;
}

void Session::say_cancelled(const std::vector<CallId>& cancelled, Time now) {
  for (auto& piece : pieces_of(cancelled)) say(Cancel{std::move(piece)}, now);
}

// It is not on the way of a call. But its worker asks for no more when its window of outcomes is
// full, and does not end before all of them are recorded.
void Session::say_recorded(const std::vector<AttemptId>& attempts, Time now) {
  if (!may_be_told()) return;
  recorded_.insert(recorded_.end(), attempts.begin(), attempts.end());
  if (draining || unrecorded_bytes_ >= limits::outcome_window_bytes / 4) {
    last_sent = now;
    if (voices_ != nullptr) voices_->speaks(id);
  } else {
    wait_with(now + defaults::aside_most);
  }
}

std::vector<OutgoingFrame> Session::leave() {
  leaves_by_ = never;
  waiting_bytes_ = 0;
  const std::vector<AttemptId> recorded = std::exchange(recorded_, {});
  if (peer.empty()) {
    speech_.forget();
    return {};
  }
  for (auto& piece : pieces_of(recorded)) speech_.say(Recorded{std::move(piece)});
  Envelope envelope;
  envelope.epoch = grammar.epoch();
  envelope.session = id;
  envelope.ack = grammar.heard();
  std::vector<OutgoingFrame> frames;
  for (Speech::Left& frame : speech_.leave(envelope)) {
    left(frame);
    frames.push_back({peer, std::move(frame.bytes)});
  }
  return frames;
}

void Session::left(const Speech::Left& frame) {
  bool is_large = false;
  for (const Message& message : frame.messages) {
    if (changes_its_books(message)) told_seq_ = frame.seq;
    is_large |= large_bytes_of(message) > 0;
    const auto* recorded = std::get_if<Recorded>(&message);
    if (recorded == nullptr) continue;
    // It will not tell the outcome again once it has heard that.
    for (const AttemptId attempt : recorded->attempts) {
      const auto known = answered_.find(attempt);
      if (known == answered_.end()) continue;
      unrecorded_bytes_ -= std::exchange(known->second.bytes, 0);
      recorded_in_.emplace_back(frame.seq, attempt);
    }
  }
  if (!is_large) return;
  unheard_.emplace_back(frame.seq, frame.bytes.size());
  unheard_bytes_ += frame.bytes.size();
}

void Session::heard(std::uint64_t ack, Time now) {
  ack_ = ack;
  last_heard = now;
  if (state == SessionState::suspect) state = SessionState::active;
  for (; !recorded_in_.empty() && recorded_in_.front().first <= ack; recorded_in_.pop_front())
    answered_.erase(recorded_in_.front().second);
  for (; !unheard_.empty() && unheard_.front().first <= ack; unheard_.pop_front())
    unheard_bytes_ -= unheard_.front().second;
}

bool Session::take_beat(const Heartbeat& beat) {
  capacity = within_limits(beat.capacity);
  // A heartbeat may have crossed our Drain.
  draining = told_to_drain || beat.capacity.calls == 0;
  // Only a worker that has seen every call that we gave, permitted or withdrew can be compared with
  // our books. It need not have seen the rest: a busy worker is told to wait all the time.
  const bool comparable =
      told_seq_ <= ack_ && ack_ <= speech_.seq() &&
      std::none_of(speech_.waiting().begin(), speech_.waiting().end(), changes_its_books);
  const bool differs = beat.held != calls.held() || beat.in_flight < calls.in_flight() ||
                       beat.in_flight > calls.in_flight() + dropped_.size();
  differing_beats_ = comparable && differs ? differing_beats_ + 1 : 0;
  if (differing_beats_ < 2) return false;
  differing_beats_ = 0;
  return true;
}

ToldOutcomes Session::take_outcomes(Outcomes outcomes, Time now) {
  ToldOutcomes told;
  told.proven.reserve(outcomes.outcomes.size());
  const auto prove = [&](Outcome& outcome, Assigned given) {
    if (!by_reference) outcome.stored = {}; // so it has no body
    const bool above_bound = bring_within_reason(outcome, given, now);
    told.proven.push_back({std::move(outcome), std::move(given), above_bound});
  };
  std::string last_model;
  for (Outcome& outcome : outcomes.outcomes) {
    if (outcome.stored && outcome.model.empty()) outcome.model = last_model;
    if (outcome.stored && outcome.http_status == 0) outcome.http_status = stored_status;
    last_model = outcome.model;
    const Assigned* given = calls.find(outcome.call);
    if (given != nullptr && is_outcome_of(outcome, *given)) {
      ++completed;
      if (info(outcome.cls).shows_it_well() && outcome.http_status != 0)
        progressed(Trial::until_it_serves, now);
      prove(outcome, calls.take(outcome.call));
    } else if (take_dropped(outcome.attempt)) {
      told.unwanted.push_back(outcome.attempt);
    } else if (mutated("outcome_of_another_session")) {
      prove(outcome, {.job = outcome.job()});
    } else {
      ++told.forged;
    }
  }
  if (told.forged < outcomes.outcomes.size()) progressed(Trial::until_it_answers, now);
  return told;
}

TakenBack Session::take_back(const Returned& returned, Time now) {
  TakenBack back;
  for (const auto& [call, attempt] : returned.calls) {
    const Assigned* known = calls.find(call);
    if (known == nullptr ||
        (known->attempt != attempt && !mutated("returned_of_another_attempt"))) {
      // A call may have been withdrawn meanwhile; a permit comes back once.
      back.forged += attempt && !take_dropped(attempt);
      continue;
    }
    if (attempt && !known->given_up) back.unused.push_back(attempt);
    if (known->given_up || known->withdrawn) {
      calls.take(call);
      if (returned.keeps_calls) back.not_held.push_back(call);
    } else if (returned.keeps_calls) {
      calls.unpermit(call);
    } else {
      back.calls.push_back({call, calls.take(call)});
    }
  }
  progressed(Trial::until_it_asks, now);
  return back;
}

void Session::answered(const Outcome& outcome, std::vector<PartId> parts) {
  const auto forget = [this](auto known) {
    unrecorded_bytes_ -= known->second.bytes;
    answered_.erase(known);
  };
  if (const auto known = answered_.find(outcome.attempt); known != answered_.end()) forget(known);
  answered_.emplace(outcome.attempt, Answered{outcome.call, std::move(parts), outcome.bytes()});
  unrecorded_bytes_ += outcome.bytes();
  // No release of ours keeps so many.
  if (answered_.size() > 2 * std::size_t{limits::frame_elements_max}) forget(answered_.begin());
}

bool Session::has_answered(const Claim& claim) const {
  const auto it = answered_.find(claim.attempt);
  return it != answered_.end() && it->second.call == claim.call && it->second.parts == claim.parts;
}

void Session::drop(AttemptId attempt) {
  dropped_.insert(attempt);
  if (dropped_.size() > limits::frame_elements_max) dropped_.erase(dropped_.begin());
}

bool Session::strike(Time now) {
  return is_struck_out(strikes_, now);
}

void Session::give(CallId call, Assigned assigned) {
  jobs.met(assigned.job);
  calls.give(call, std::move(assigned));
}

void Session::feed(CallId call, Assigned assigned, Time now) {
  if (calls.held() == 0) progress_at_ = std::max(progress_at_, now);
  give(call, std::move(assigned));
}

bool Session::withdraw(CallId call) {
  const Assigned* assigned = calls.find(call);
  if (assigned == nullptr || assigned->given_up) return false;
  stop_at_welcome(call, assigned->attempt);
  if (assigned->attempt)
    calls.withdraw(call);
  else
    calls.take(call);
  return true;
}

std::vector<Released> Session::take_held(JobId job) {
  std::vector<Released> taken;
  for (const CallId call : calls.list_held()) {
    if (calls.find(call)->job != job) continue;
    stop_at_welcome(call, AttemptId{});
    taken.push_back({call, calls.take(call)});
  }
  return taken;
}

std::vector<Released> Session::take_all(JobId job) {
  std::vector<Released> taken;
  for (const CallId call : calls.list_of(job)) {
    taken.push_back({call, calls.take(call)});
    const AttemptId attempt = taken.back().assigned.attempt;
    stop_at_welcome(call, attempt);
    if (attempt) drop(attempt);
  }
  return taken;
}

// A greeted worker hears of nothing before its Welcome: what it is to stop stands there.
void Session::stop_at_welcome(CallId call, AttemptId attempt) {
  if (state != SessionState::greeted) return;
  if (attempt) welcome.drop_attempts.push_back(attempt);
  std::vector<CallId>& kept = welcome.keep_held;
  const Assigned* stopped = calls.find(call);
  if (std::erase(kept, call) == 0 || stopped == nullptr) return;
  // The worker keeps the jobs of calls that stay, and no others.
  const JobId job = stopped->job;
  const auto of_job = [&](CallId other) {
    const Assigned* assigned = calls.find(other);
    return assigned != nullptr && assigned->job == job;
  };
  if (std::none_of(kept.begin(), kept.end(), of_job)) jobs.close(job);
}

bool Session::may_be_fed() const {
  return state == SessionState::active && !draining && capacity.calls > 0;
}

bool Session::has_room() const {
  return may_be_fed() && !on_trial() && calls.held() + calls.in_flight() < capacity.calls;
}

void Session::progressed(Trial ended, Time now) {
  progress_at_ = now;
  if (trial_ > ended) return;
  trial_ = Trial::none;
  rests_until_ = {};
}

bool Session::is_idle(Time now) const {
  if (state != SessionState::active || calls.held() == 0) return false;
  const std::uint32_t busy = calls.in_flight() - calls.overdue();
  return busy < std::max(capacity.calls, 1u) && now - progress_at_ >= defaults::held_idle;
}

std::vector<Released> Session::rest(Trial trial, Time until) {
  std::vector<Released> released;
  for (const CallId call : calls.list_held()) released.push_back({call, calls.take(call)});
  rests_until_ = until;
  trial_ = std::max(trial_, trial);
  return released;
}

void Session::measure(Time now) {
  const double seconds = to_seconds(now - measured_at_);
  if (seconds < 0.25) return;
  const double current = static_cast<double>(completed - measured_) / seconds;
  rate_ = measured_at_ == Time{} ? 0 : std::max(current, rate_ + 0.5 * (current - rate_));
  measured_ = completed;
  measured_at_ = now;
}

WorkerView Session::view() const {
  static constexpr std::string_view names[]{"greeted", "active", "suspect", "closed"};
  return {.session = id,
          .name = name,
          .state = std::string{draining ? "draining" : names[static_cast<std::size_t>(state)]},
          .user = user,
          .capacity = capacity.calls,
          .in_flight = calls.in_flight(),
          .held = calls.held(),
          .completed = completed,
          // A smoothed rate never comes to rest by itself.
          .rate = rate_ < 0.005 ? 0 : rate_};
}

} // namespace gristmill::coordinator
