#include "actors/coordinator/sessions/session.hpp"

#include "actors/coordinator/sessions/proof.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/node/codec.hpp"

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

bool is_large(const Message& message) {
  return std::holds_alternative<Batch>(message) || std::holds_alternative<JobOpened>(message);
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

std::optional<OutgoingFrame> Session::say(Message message, Time now) {
  if (peer.empty() || state == SessionState::greeted) return std::nullopt;
  Frame frame;
  frame.epoch = grammar.epoch();
  frame.session = id;
  frame.seq = ++seq_;
  frame.ack = grammar.heard();
  frame.message = std::move(message);
  if (changes_its_books(frame.message)) told_seq_ = seq_;
  last_sent = now;
  OutgoingFrame out{peer, encode(frame)};
  if (is_large(frame.message)) {
    unheard_.emplace_back(seq_, out.bytes.size());
    unheard_bytes_ += out.bytes.size();
  }
  return out;
}

std::vector<OutgoingFrame> Session::say_cancelled(const std::vector<CallId>& cancelled, Time now) {
  std::vector<OutgoingFrame> frames;
  for (auto& piece : pieces_of(cancelled))
    if (auto frame = say(Cancel{std::move(piece)}, now)) frames.push_back(std::move(*frame));
  return frames;
}

std::vector<OutgoingFrame> Session::say_recorded(const std::vector<AttemptId>& attempts, Time now) {
  std::vector<OutgoingFrame> frames;
  for (const auto& piece : pieces_of(attempts)) {
    auto frame = say(Recorded{piece}, now);
    if (!frame) continue;
    frames.push_back(std::move(*frame));
    // It will not tell the outcome again once it has heard that.
    for (const AttemptId attempt : piece)
      if (answered_.contains(attempt)) recorded_in_.emplace_back(seq_, attempt);
  }
  return frames;
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
  const bool comparable = told_seq_ <= ack_ && ack_ <= seq_;
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
    const bool above_bound = bring_within_reason(outcome, given, now);
    told.proven.push_back({std::move(outcome), std::move(given), above_bound});
  };
  for (Outcome& outcome : outcomes.outcomes) {
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

void Session::answered(AttemptId attempt, CallId call, std::vector<PartId> parts) {
  answered_.insert_or_assign(attempt, Answered{call, std::move(parts)});
  // No release of ours keeps so many.
  if (answered_.size() > 2 * std::size_t{limits::frame_elements_max})
    answered_.erase(answered_.begin());
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
