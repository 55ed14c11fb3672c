#include "actors/worker/worker.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/node/codec.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::worker {

using namespace protocol;

namespace {
// Each Hello begins a session anew, and its Welcome waits for the journal: who asked again sooner
// than a slow disk takes would never be welcome.
constexpr Duration hello_repeat = std::chrono::seconds{2},
                   hello_repeat_max = std::chrono::seconds{32};
} // namespace

Effects Worker::link_up(Time now) {
  Effects effects;
  effects.events.push_back({"link.up", {}});
  down_why_.clear();
  hello_repeat_ = hello_repeat;
  if (!finished_) say_hello(now, effects);
  return effects;
}

Effects Worker::link_down(std::string why, Time) {
  Effects effects;
  if (state_ != State::down || why != down_why_)
    effects.events.push_back({"link.down", {{"why", why}}, true});
  down_why_ = std::move(why);
  state_ = State::down;
  heartbeat_at_ = never;
  held_.forget_needs();
  queues_.forget();
  return effects;
}

void Worker::say_hello(Time now, Effects& effects) {
  state_ = State::greeting;
  hello_at_ = now;
  heartbeat_at_ = never;
  held_.forget_needs();
  unsaid_.clear();
  Hello hello;
  hello.cluster = options_.cluster;
  hello.name = options_.name;
  hello.process = options_.process;
  hello.number = ++hellos_;
  hello.capacity = capacity();
  hello.endpoints = options_.endpoints;
  for (const auto& [attempt, call] : in_flight_) hello.in_flight.push_back(call.claim);
  for (const auto& [attempt, outcome] : outbox_.outcomes())
    hello.outbox.push_back({outcome.call, attempt, outcome.parts, outcome.endpoint});
  hello.held = held_.all();
  std::sort(hello.in_flight.begin(), hello.in_flight.end(),
            [](const Claim& a, const Claim& b) { return a.attempt < b.attempt; });
  Frame frame;
  frame.epoch = grammar_.epoch();
  frame.message = std::move(hello);
  grammar_.expect_welcome();
  effects.frames.push_back(encode(frame));
}

Effects Worker::received(std::string_view bytes, Time now) {
  Effects effects;
  auto frame = decode(bytes, Direction::from_coordinator);
  if (!frame) {
    effects.events.push_back({"frame.bad", {{"why", frame.error().message}}, true});
    return effects;
  }
  const Heard heard = grammar_.hear(*frame);
  switch (heard.verdict) {
  case Verdict::ok: act_on(*frame, now, effects); break;
  case Verdict::gap:
    effects.events.push_back({"frame.gap", {{"why", heard.sentence}}, true});
    say_hello(now, effects);
    break;
  case Verdict::violation:
    effects.events.push_back({"frame.violation", {{"why", heard.sentence}}, true});
    break;
  default: break; // of an older life, another session, or told again
  }
  return effects;
}

void Worker::act_on(Frame& frame, Time now, Effects& effects) {
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, JobOpened> || std::is_same_v<M, Cancel>) {
          handle(message, effects);
        } else if constexpr (std::is_same_v<M, Batch> || std::is_same_v<M, Recorded>) {
          handle(message);
        } else if constexpr (std::is_same_v<M, Permits> || std::is_same_v<M, Welcome> ||
                             std::is_same_v<M, Refused>) {
          handle(message, now, effects);
        } else if constexpr (std::is_same_v<M, Wait>) {
          handle(message, now);
        } else if constexpr (std::is_same_v<M, Drain>) {
          effects = drain(now);
        }
      },
      frame.message);
  return_held(effects);
  settle_drain(effects);
  ask(now, effects);
}

void Worker::handle(const Welcome& welcome, Time now, Effects& effects) {
  state_ = State::active;
  hello_repeat_ = hello_repeat;
  full_why_.clear();
  seq_ = 0;
  effects.welcome = true;
  heartbeat_ = std::chrono::milliseconds{welcome.heartbeat_ms};
  heartbeat_at_ = now + heartbeat_;
  outcome_window_bytes_ = welcome.outcome_window_bytes;
  announced_.clear();
  for (std::size_t i = 0; i < welcome.endpoints.size() && i < options_.endpoints.size(); ++i)
    announced_[welcome.endpoints[i]] = i;
  for (const AttemptId attempt : welcome.drop_attempts) {
    if (in_flight_.contains(attempt)) effects.aborts.push_back(attempt);
    outbox_.remove(attempt);
  }
  for (const CallId call : held_.all())
    if (std::find(welcome.keep_held.begin(), welcome.keep_held.end(), call) ==
        welcome.keep_held.end())
      held_.take(call);
  // The session opens its jobs anew, but for those of the calls that stay.
  std::erase_if(jobs_, [&](const auto& job) { return !held_.has_of(job.first); });
  std::vector<const Outcome*> again;
  for (const auto& [attempt, outcome] : outbox_.outcomes()) again.push_back(&outcome);
  if (!mutated("result_sent_once")) send_outcomes(std::move(again), effects);
  for (Returned& unstarted : std::exchange(unsaid_, {})) send(std::move(unstarted), effects);
  effects.events.push_back(
      {"session.begun", {{"session", std::to_string(grammar_.session().value)}}});
}

void Worker::handle(const Refused& refused, Time now, Effects& effects) {
  const bool again = refused.code == RefusedCode::no_session || refused.code == RefusedCode::resync;
  const bool full = refused.code == RefusedCode::full;
  if (!full && (!again || state_ == State::active))
    effects.events.push_back({"session.refused", {{"why", refused.sentence}}, true});
  if (!again && !full) {
    effects.refused = refused.sentence;
    state_ = State::down;
    return;
  }
  // There may be room later: the Hello is repeated.
  if (full) {
    if (std::exchange(full_why_, refused.sentence) != refused.sentence)
      effects.events.push_back({"worker.full", {{"why", refused.sentence}}, true});
    return;
  }
  // While a Hello is on its way, older frames of ours may still be refused.
  if (state_ == State::active) say_hello(now, effects);
}

Effects Worker::tick(Time now) {
  Effects effects;
  if (state_ == State::greeting && now - hello_at_ >= hello_repeat_) {
    hello_repeat_ = std::min(2 * hello_repeat_, hello_repeat_max);
    say_hello(now, effects);
  }
  watch_queues(now, effects);
  if (state_ == State::active && now >= heartbeat_at_) {
    heartbeat_at_ = now + heartbeat_;
    beat({}, effects);
  }
  if (now >= drain_ends_) {
    // What is still in flight is left to itself: its outcome is unknown.
    finish(effects);
    return effects;
  }
  settle_drain(effects);
  ask(now, effects);
  return effects;
}

void Worker::beat(std::vector<QueueReport> queues, Effects& effects) {
  send(Heartbeat{capacity(), static_cast<std::uint32_t>(in_flight_.size()),
                 static_cast<std::uint32_t>(held_.size()), std::move(queues)},
       effects);
}

Effects Worker::read(const std::vector<PageEnded>& pages, Time now) {
  Effects effects;
  for (const PageEnded& page : pages)
    if (auto event = queues_.ended(page, now)) effects.events.push_back(std::move(*event));
  if (state_ != State::active) queues_.forget();
  watch_queues(now, effects);
  return effects;
}

// What was read is told at once, with a heartbeat: it is worth less with each moment.
void Worker::watch_queues(Time now, Effects& effects) {
  if (state_ != State::active) return;
  effects.reads = queues_.due(now);
  if (auto queues = queues_.take(now); !queues.empty()) beat(std::move(queues), effects);
}

Effects Worker::drain(Time now) {
  Effects effects;
  if (draining_) return effects;
  draining_ = true;
  drain_ends_ = now + options_.drain_timeout;
  effects.events.push_back({"worker.draining", {{"in_flight", std::to_string(in_flight_.size())}}});
  return_held(effects);
  beat({}, effects);
  settle_drain(effects);
  return effects;
}

// While draining nothing stays held, neither what the coordinator gave before it knew, nor what a
// Welcome left here.
void Worker::return_held(Effects& effects) {
  if (!draining_ || state_ != State::active) return;
  Returned held;
  for (const CallId call : held_.all()) {
    held.calls.push_back({call, AttemptId{}});
    held_.take(call);
  }
  if (!held.calls.empty()) send(std::move(held), effects);
}

void Worker::settle_drain(Effects& effects) {
  if (draining_ && !finished_ && in_flight_.empty() && outbox_.empty()) finish(effects);
}

// Nothing is said after Goodbye: the session is over for the coordinator.
void Worker::finish(Effects& effects) {
  finished_ = true;
  effects.finished = true;
  drain_ends_ = never;
  send(Goodbye{}, effects);
  state_ = State::down;
}

void Worker::measure(Sizes& sizes) const {
  sizes["worker.jobs"] += jobs_.size();
  sizes["worker.endpoints"] += announced_.size();
  sizes["worker.calls in flight"] += in_flight_.size();
  sizes["worker.returns"] += unsaid_.size();
  sizes["worker.outbox"] += outbox_.size();
  sizes["worker.pages"] += queues_.size();
  held_.measure(sizes);
}

Time Worker::wake_at() const {
  Time at = drain_ends_;
  if (state_ == State::greeting) at = std::min(at, hello_at_ + hello_repeat_);
  if (state_ == State::active) at = std::min({at, heartbeat_at_, queues_.wake_at()});
  if (state_ == State::active && !draining_)
    at = std::min(at, held_.next_due(defaults::need_repeat));
  return at;
}

Capacity Worker::capacity() const {
  if (draining_) return {0, 0};
  return options_.capacity;
}

void Worker::send(Message message, Effects& effects) {
  if (state_ != State::active) return;
  Frame frame;
  frame.epoch = grammar_.epoch();
  frame.session = grammar_.session();
  frame.seq = ++seq_;
  frame.ack = grammar_.heard();
  frame.message = std::move(message);
  effects.frames.push_back(encode(frame));
}

} // namespace gristmill::worker
