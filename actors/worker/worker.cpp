#include "actors/worker/worker.hpp"

#include "actors/kit/defaults.hpp"
#include "protocol/codec.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::worker {

using namespace protocol;

namespace {
constexpr auto hello_repeat = std::chrono::seconds{2};
}

// Session.

Effects Worker::link_up(Time now) {
  Effects effects;
  effects.events.push_back({"link.up", {}});
  down_why_.clear();
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
  return effects;
}

void Worker::say_hello(Time now, Effects& effects) {
  state_ = State::greeting;
  hello_at_ = now;
  heartbeat_at_ = never;
  held_.forget_needs();
  Hello hello;
  hello.cluster = options_.cluster;
  hello.name = options_.name;
  hello.process = options_.process;
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
  std::vector<const Outcome*> again;
  for (const auto& [attempt, outcome] : outbox_.outcomes()) again.push_back(&outcome);
  send_outcomes(std::move(again), effects);
  effects.events.push_back(
      {"session.begun", {{"session", std::to_string(grammar_.session().value)}}});
}

void Worker::handle(const Refused& refused, Time now, Effects& effects) {
  const bool again = refused.code == RefusedCode::no_session || refused.code == RefusedCode::resync;
  if (!again) {
    effects.refused = refused.sentence;
    state_ = State::down;
    return;
  }
  // While a Hello is on its way, older frames of ours may still be refused.
  if (state_ == State::active) say_hello(now, effects);
}

// Calls.

void Worker::handle(const JobOpened& opened, Effects& effects) {
  auto spec = job_spec_from_json(opened.spec);
  if (!spec) {
    effects.events.push_back({"job.unreadable", {{"why", spec.error().message}}, true});
    return;
  }
  Job job{std::move(*spec), {}};
  for (const EndpointEntry& entry : opened.endpoints) job.endpoints[entry.id] = entry;
  jobs_[opened.job] = std::move(job);
}

void Worker::handle(Batch& batch) {
  for (PlannedCall& call : batch.calls) held_.add(std::move(call));
}

void Worker::handle(const Permits& permits, Time now, Effects& effects) {
  const auto sent = held_.sent_at(permits.nonce);
  Returned late, gone;
  late.keeps_calls = true;
  late.too_late = !draining_;
  for (const Permit& permit : permits.permits) {
    // Without its Need nobody can say how old a permit is.
    const Time not_after = permit.life_ms == 0 ? never
                           : sent              ? *sent + std::chrono::milliseconds{permit.life_ms}
                                               : Time::min();
    if (!held_.contains(permit.call)) {
      gone.calls.push_back({permit.call, permit.attempt});
    } else if (now < not_after && !draining_) {
      start(permit, not_after, effects);
    } else {
      late.calls.push_back({permit.call, permit.attempt});
      held_.ready_again(permit.call);
    }
  }
  if (!late.calls.empty()) send(std::move(late), effects);
  if (!gone.calls.empty()) send(std::move(gone), effects);
}

void Worker::handle(const Wait& wait, Time now) {
  held_.wait(wait.nonce, wait.calls, now + std::chrono::milliseconds{wait.wait_ms});
}

void Worker::handle(const Recorded& recorded) {
  for (const AttemptId attempt : recorded.attempts) outbox_.remove(attempt);
}

void Worker::handle(const Cancel& cancel, Effects& effects) {
  for (const CallId call : cancel.calls) {
    if (held_.take(call)) continue;
    for (const auto& [attempt, flying] : in_flight_)
      if (flying.claim.call == call) effects.aborts.push_back(attempt);
  }
}

Worker::Served Worker::endpoint(const Job& job, EndpointId id) const {
  if (const auto it = job.endpoints.find(id); it != job.endpoints.end())
    return {&it->second.endpoint, it->second.model};
  const auto announced = announced_.find(id);
  if (announced == announced_.end()) return {};
  const AnnouncedEndpoint& ours = options_.endpoints[announced->second];
  return {&ours.endpoint, ours.model};
}

void Worker::start(const Permit& permit, Time not_after, Effects& effects) {
  const auto planned = held_.take(permit.call);
  InFlight call;
  call.claim = {permit.call, permit.attempt, planned->parts, permit.endpoint};
  const auto refuse = [&](std::string code, std::string message) {
    Outcome outcome;
    outcome.call = permit.call;
    outcome.attempt = permit.attempt;
    outcome.parts = planned->parts;
    outcome.endpoint = permit.endpoint;
    outcome.cls = OutcomeClass::bad_line;
    outcome.code = std::move(code);
    outcome.message = std::move(message);
    std::vector<Outcome> one;
    one.push_back(std::move(outcome));
    deliver(std::move(one), effects);
  };
  const auto job = jobs_.find(planned->parts.front().job);
  const Served where = job == jobs_.end() ? Served{} : endpoint(job->second, permit.endpoint);
  if (where.spec == nullptr) {
    send(Returned{{{permit.call, permit.attempt}}, false}, effects);
    effects.events.push_back(
        {"permit.unusable", {{"endpoint", std::to_string(permit.endpoint.value)}}, true});
    return;
  }
  const JobSpec& spec = job->second.spec;
  auto request =
      openai::render(spec, planned->kind, planned->raw,
                     where.model.empty() ? spec.default_model : where.model, planned->model);
  if (!request) return refuse("invalid_line", request.error().message);
  call.api = openai::api_of(request->path);
  call.model = std::move(request->model);
  HttpCall http;
  http.attempt = permit.attempt;
  http.url = where.spec->url + request->path;
  http.body = std::move(request->body);
  http.api_key_env = where.spec->api_key_env;
  http.api_key_file = where.spec->api_key_file;
  http.timeout = std::chrono::milliseconds{spec.timeout_ms};
  http.connect_timeout = std::chrono::milliseconds{spec.connect_timeout_ms};
  http.not_after = not_after;
  in_flight_.emplace(permit.attempt, std::move(call));
  effects.starts.push_back(std::move(http));
}

Effects Worker::ended(std::vector<CallEnded> calls, Time now) {
  Effects effects;
  std::vector<Outcome> outcomes;
  Returned unstarted, too_late;
  too_late.too_late = true;
  for (CallEnded& end : calls) {
    const auto it = in_flight_.find(end.attempt);
    if (it == in_flight_.end()) continue;
    const InFlight call = std::move(it->second);
    in_flight_.erase(it);
    if (end.end == CallEnd::unstarted) {
      auto& back = end.code == "permit_ended" ? too_late : unstarted;
      back.calls.push_back({call.claim.call, call.claim.attempt});
    } else {
      outcomes.push_back(outcome_of(call, std::move(end)));
    }
  }
  if (!unstarted.calls.empty()) send(std::move(unstarted), effects);
  if (!too_late.calls.empty()) send(std::move(too_late), effects);
  held_.wake(calls.size()); // what they leave free may be what others wait for
  deliver(std::move(outcomes), effects);
  settle_drain(effects);
  ask(now, effects);
  return effects;
}

Outcome Worker::outcome_of(const InFlight& call, CallEnded end) const {
  Outcome outcome;
  outcome.call = call.claim.call;
  outcome.attempt = call.claim.attempt;
  outcome.parts = call.claim.parts;
  outcome.endpoint = call.claim.endpoint;
  outcome.http_status = end.http_status;
  outcome.latency_us = end.latency_us;
  outcome.model = call.model;
  if (end.end == CallEnd::answered) {
    openai::Reply reply =
        openai::read_reply(call.api, end.http_status, end.headers, end.body, end.ended_at_unix);
    outcome.cls = reply.cls;
    outcome.usage = reply.usage;
    outcome.retry_after_ms = reply.retry_after_ms;
    outcome.request_id = std::move(reply.request_id);
    if (!reply.model.empty()) outcome.model = std::move(reply.model);
    outcome.code = std::move(reply.code);
    outcome.message = std::move(reply.message);
    outcome.body = std::move(reply.body);
    return outcome;
  }
  outcome.http_status = 0;
  outcome.cls = end.end == CallEnd::timed_out ? OutcomeClass::timeout
                : end.end == CallEnd::aborted ? OutcomeClass::cancelled
                                              : OutcomeClass::transient;
  outcome.code = std::move(end.code);
  outcome.message = std::move(end.message);
  // Waiting does not bring a key: the user has to.
  if (outcome.code == "no_api_key") outcome.cls = OutcomeClass::config;
  return outcome;
}

void Worker::deliver(std::vector<Outcome> outcomes, Effects& effects) {
  std::vector<const Outcome*> fresh;
  for (Outcome& outcome : outcomes) {
    const AttemptId attempt = outcome.attempt;
    outbox_.add(std::move(outcome));
    fresh.push_back(&outbox_.outcomes().at(attempt));
  }
  if (state_ == State::active) send_outcomes(std::move(fresh), effects);
}

void Worker::send_outcomes(std::vector<const Outcome*> outcomes, Effects& effects) {
  Outcomes frame;
  std::size_t bytes = 0;
  for (const Outcome* outcome : outcomes) {
    if (bytes > 0 && bytes + outcome->bytes() > limits::frame_target_bytes) {
      send(std::move(frame), effects);
      frame = {};
      bytes = 0;
    }
    bytes += outcome->bytes();
    frame.outcomes.push_back(*outcome);
  }
  if (!frame.outcomes.empty()) send(std::move(frame), effects);
}

void Worker::ask(Time now, Effects& effects) {
  if (state_ != State::active || draining_) return;
  held_.advance(now, defaults::need_repeat);
  // A Hello lists the whole outbox, and a list has its bound too.
  if (outbox_.bytes() >= outcome_window_bytes_ ||
      outbox_.size() + in_flight_.size() >= limits::frame_elements_max)
    return;
  const std::size_t busy = in_flight_.size() + held_.asked();
  const std::size_t most = options_.capacity.calls;
  if (busy >= most) return;
  const Nonce nonce{next_nonce_};
  std::vector<CallId> calls = held_.ask(most - busy, nonce, now);
  if (calls.empty()) return;
  ++next_nonce_;
  send(Need{nonce, std::move(calls)}, effects);
}

// Time, drain.

Effects Worker::tick(Time now) {
  Effects effects;
  if (state_ == State::greeting && now - hello_at_ >= hello_repeat) say_hello(now, effects);
  if (state_ == State::active && now >= heartbeat_at_) {
    heartbeat_at_ = now + heartbeat_;
    send(Heartbeat{capacity(), static_cast<std::uint32_t>(in_flight_.size()),
                   static_cast<std::uint32_t>(held_.size()),
                   static_cast<std::uint32_t>(outbox_.size()), outbox_.bytes()},
         effects);
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

Effects Worker::drain(Time now) {
  Effects effects;
  if (draining_) return effects;
  draining_ = true;
  drain_ends_ = now + options_.drain_timeout;
  effects.events.push_back({"worker.draining", {{"in_flight", std::to_string(in_flight_.size())}}});
  return_held(effects);
  send(Heartbeat{capacity(), static_cast<std::uint32_t>(in_flight_.size()), 0,
                 static_cast<std::uint32_t>(outbox_.size()), outbox_.bytes()},
       effects);
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

Time Worker::wake_at() const {
  Time at = drain_ends_;
  if (state_ == State::greeting) at = std::min(at, hello_at_ + hello_repeat);
  if (state_ == State::active) at = std::min(at, heartbeat_at_);
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
