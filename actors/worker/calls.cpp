// The way of a call through WORKER: held, permitted, sent, answered, recorded.
#include "actors/worker/worker.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/request/render.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/job/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/request/asked.hpp"

#include <algorithm>
#include <array>
#include <string_view>

namespace gristmill::worker {

using namespace protocol;

namespace {

// Ends without an answer, by the codes of the model client. What is not here is the call's own.
struct EndRow {
  std::string_view code;
  OutcomeClass cls;
};
constexpr std::array<EndRow, 9> ends{{
    {"connect_refused", OutcomeClass::unreachable},
    {"connect_timeout", OutcomeClass::unreachable},
    {"resolve", OutcomeClass::unreachable},
    {"tls", OutcomeClass::unreachable},
    {"connection_lost", OutcomeClass::unreachable}, // before any of its answer
    // Waiting brings neither a key nor another address: the user has to.
    {"no_api_key", OutcomeClass::config},
    {"address_refused", OutcomeClass::config},
    // The next answer to the same request will hardly be another.
    {"reply_too_big", OutcomeClass::malformed},
    {"bad_encoding", OutcomeClass::malformed},
}};

OutcomeClass class_of(const CallEnded& end) {
  if (end.end == CallEnd::aborted) return OutcomeClass::cancelled;
  for (const EndRow& row : ends)
    if (end.code == row.code) return row.cls;
  return end.end == CallEnd::timed_out ? OutcomeClass::timeout : OutcomeClass::transient;
}

} // namespace

void Worker::handle(const JobOpened& opened, Effects& effects) {
  auto spec = job_spec_from_json(opened.spec, Unknown::skipped);
  if (!spec) {
    effects.events.push_back({"job.unreadable", {{"why", spec.error().message}}, true});
    return;
  }
  openai::DocumentTemplate documents{*spec};
  Job job{std::move(*spec), std::move(documents), {}};
  for (const EndpointEntry& entry : opened.endpoints) job.endpoints[entry.id] = entry;
  jobs_.insert_or_assign(opened.job, std::move(job));
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
    const bool ages = permit.life_ms != 0 && !mutated("no_lease_check_in_worker");
    const Time from = sent && !mutated("lease_from_receipt") ? *sent : now;
    const Time not_after = !ages  ? never
                           : sent ? from + std::chrono::milliseconds{permit.life_ms}
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
  for (const ReadPause& pause : recorded.pauses) queues_.pause(pause);
  for (const JobId job : recorded.closed_jobs)
    if (!held_.has_of(job)) jobs_.erase(job);
  if (mutated("outbox_cleared_by_any_recorded")) outbox_ = {};
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
    return {&it->second.endpoint, it->second.model,
            it->second.model.empty() ? KeyRules::Of::job : KeyRules::Of::pool};
  const auto announced = announced_.find(id);
  if (announced == announced_.end()) return {};
  const AnnouncedEndpoint& ours = options_.endpoints[announced->second];
  return {&ours.endpoint, ours.model, KeyRules::Of::worker};
}

// Whoever submits a job does not tell the workers of a cluster where else to look.
std::optional<QueuePage> Worker::page_of(const Served& where, const std::string& model) const {
  const EndpointSpec& spec = *where.spec;
  const bool of_job = where.model.empty();
  if (of_job)
    return options_.reads_pages_of_jobs
               ? std::optional{QueuePage{metrics_page_of(spec.url), model, true, true}}
               : std::nullopt;
  if (spec.metrics_url.empty()) return std::nullopt;
  if (spec.metrics_url != metrics_found) return QueuePage{spec.metrics_url, "", false, false};
  return QueuePage{metrics_page_of(spec.url), std::string{where.model}, true, false};
}

void Worker::start(const Permit& permit, Time not_after, Effects& effects) {
  const auto planned = held_.take(permit.call);
  InFlight call;
  call.claim = {permit.call, permit.attempt, planned->parts, permit.endpoint};
  const auto refuse = [&](OutcomeClass cls, std::string code, std::string message) {
    Outcome outcome;
    outcome.call = permit.call;
    outcome.attempt = permit.attempt;
    outcome.parts = planned->parts;
    outcome.endpoint = permit.endpoint;
    outcome.cls = cls;
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
  if (std::string why = options_.keys.why_not(*where.spec, where.of); !why.empty())
    return refuse(OutcomeClass::config, "key_not_allowed", std::move(why));
  const JobSpec& spec = job->second.spec;
  auto request =
      openai::render(spec, job->second.documents, planned->kind, planned->raw,
                     where.model.empty() ? spec.policy.default_model : where.model, planned->model);
  if (!request && request.error().code == ErrorCode::conflict)
    return refuse(OutcomeClass::too_long, "exceeds_limit", request.error().message);
  if (!request) return refuse(OutcomeClass::bad_line, "invalid_line", request.error().message);
  call.asked = openai::asked_of(*request);
  call.model = std::move(request->model);
  HttpCall http;
  http.attempt = permit.attempt;
  http.url = where.spec->url + request->path;
  http.body = std::move(request->body);
  http.api_key_env = where.spec->api_key_env;
  http.api_key_file = where.spec->api_key_file;
  http.timeout = std::chrono::milliseconds{spec.policy.timeout_ms};
  http.connect_timeout = std::chrono::milliseconds{spec.policy.connect_timeout_ms};
  http.not_after = mutated("gate_without_end") ? never : not_after;
  if (mutated("hidden_retry_in_worker")) effects.starts.push_back(http);
  if (auto page = page_of(where, call.model)) queues_.call_began(permit.endpoint, std::move(*page));
  in_flight_.emplace(permit.attempt, std::move(call));
  effects.starts.push_back(std::move(http));
}

Effects Worker::ended(std::vector<CallEnded> calls, std::int64_t unix_now, Time now) {
  Effects effects;
  std::vector<Outcome> outcomes;
  Returned unstarted, too_late;
  too_late.too_late = true;
  for (CallEnded& end : calls) {
    const auto it = in_flight_.find(end.attempt);
    if (it == in_flight_.end()) continue;
    const InFlight call = std::move(it->second);
    in_flight_.erase(it);
    queues_.call_ended(call.claim.endpoint);
    if (end.end == CallEnd::unstarted) {
      unstarted.calls.push_back({call.claim.call, call.claim.attempt});
    } else if (end.end == CallEnd::too_late) {
      too_late.calls.push_back({call.claim.call, call.claim.attempt});
    } else {
      outcomes.push_back(outcome_of(call, std::move(end), unix_now));
    }
  }
  give_back(std::move(unstarted), effects);
  give_back(std::move(too_late), effects);
  held_.wake(calls.size()); // what they leave free may be what others wait for
  deliver(std::move(outcomes), effects);
  settle_drain(effects);
  ask(now, effects);
  return effects;
}

// A Hello that is on its way lists them as in flight, and nothing else would ever end them.
void Worker::give_back(Returned unstarted, Effects& effects) {
  if (unstarted.calls.empty()) return;
  if (state_ == State::greeting) {
    unsaid_.push_back(std::move(unstarted));
  } else {
    send(std::move(unstarted), effects);
  }
}

Outcome Worker::outcome_of(const InFlight& call, CallEnded end, std::int64_t unix_now) const {
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
        openai::read_reply(call.asked, end.http_status, end.headers, end.body, unix_now);
    outcome.cls = reply.cls;
    outcome.usage = reply.usage;
    outcome.retry_after_ms = reply.retry_after_ms;
    outcome.tokens_refused = reply.tokens_refused;
    outcome.limits = std::move(reply.limits);
    outcome.request_id = std::move(reply.request_id);
    if (!reply.model.empty()) outcome.model = std::move(reply.model);
    outcome.code = std::move(reply.code);
    outcome.message = std::move(reply.message);
    outcome.body = std::move(reply.body);
    return outcome;
  }
  outcome.http_status = 0;
  outcome.cls = class_of(end);
  outcome.code = std::move(end.code);
  outcome.message = std::move(end.message);
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

} // namespace gristmill::worker
