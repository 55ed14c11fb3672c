#include "actors/worker/worker.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/job/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/codec.hpp"
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/request/asked.hpp"
#include "protocol/openai/request/pack.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/request/repair.hpp"
#include "protocol/openai/task/labels.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace gristmill::worker {

using namespace protocol;

namespace {

// Each Hello begins a session anew, and its Welcome waits for the journal: who asked again sooner
// than a slow disk takes would never be welcome.
constexpr Duration hello_repeat = std::chrono::seconds{2},
                   hello_repeat_max = std::chrono::seconds{32};

constexpr std::size_t outcome_bytes_with_need = 64 * limits::kib; // in one frame

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

// All parts of a call are one request.
Result<openai::Request> rendered(const openai::CallForms& forms, const PlannedCall& call,
                                 std::string_view served) {
  std::vector<openai::Request> requests;
  for (const PlannedPart& part : call.parts) {
    const openai::CallForm& form = forms.of(PartNumber::of(part.id.part));
    auto request =
        openai::render(form.spec, form.documents, part.kind, part.raw, served, call.model);
    GRISTMILL_TRY(request);
    if (!part.repair.fault.empty()) GRISTMILL_TRY(openai::ask_for_repair(*request, part.repair));
    requests.push_back(std::move(*request));
  }
  return openai::packed(requests);
}

} // namespace

// ---- its session -----------------------------------------------------------------------------

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
  leave(effects);
  state_ = State::greeting;
  hello_at_ = now;
  heartbeat_at_ = never;
  held_.forget_needs();
  held_.drop_reading(); // what is being read is of the session before
  unsaid_.clear();
  Hello hello;
  hello.cluster = options_.cluster;
  hello.name = options_.name;
  hello.process = options_.process;
  hello.number = ++hellos_;
  hello.capacity = capacity();
  hello.endpoints = options_.endpoints;
  for (const auto& [attempt, call] : in_flight_) hello.in_flight.push_back(call.claim);
  for (const auto& [attempt, outcome] : outbox_.outcomes()) hello.outbox.push_back(outcome);
  hello.held = held_.all();
  std::sort(hello.in_flight.begin(), hello.in_flight.end(),
            [](const Claim& a, const Claim& b) { return a.attempt < b.attempt; });
  Frame frame;
  frame.epoch = grammar_.epoch();
  frame.messages.emplace_back(std::move(hello));
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
  leave(effects);
  return effects;
}

void Worker::act_on(Frame& frame, Time now, Effects& effects) {
  for (Message& message : frame.messages) act_on(message, now, effects);
  return_held();
  settle_drain(effects);
  ask(now, effects);
}

void Worker::act_on(Message& any, Time now, Effects& effects) {
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, JobOpened> || std::is_same_v<M, Cancel> ||
                      std::is_same_v<M, Batch>) {
          handle(message, effects);
        } else if constexpr (std::is_same_v<M, SharedAgreed>) {
          shared_.agreed();
        } else if constexpr (std::is_same_v<M, Recorded>) {
          handle(message);
        } else if constexpr (std::is_same_v<M, Permits> || std::is_same_v<M, Welcome> ||
                             std::is_same_v<M, Refused>) {
          handle(message, now, effects);
        } else if constexpr (std::is_same_v<M, Wait>) {
          handle(message, now);
        } else if constexpr (std::is_same_v<M, Drain>) {
          begin_drain(now, effects);
        }
      },
      any);
}

void Worker::handle(const Welcome& welcome, Time now, Effects& effects) {
  state_ = State::active;
  hello_repeat_ = hello_repeat;
  full_why_.clear();
  speech_.begin();
  const bool may_prove = options_.has_shared && !welcome.shared.empty();
  shared_.begin(grammar_.session(), may_prove);
  if (may_prove) effects.proves = SharedTask{grammar_.session(), welcome.shared};
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
  if (!mutated("result_sent_once")) say_outcomes(std::move(again));
  for (Returned& unstarted : std::exchange(unsaid_, {})) say(std::move(unstarted));
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
    beat({});
  }
  if (now >= drain_ends_) {
    // What is still in flight is left to itself: its outcome is unknown.
    finish(effects);
  } else {
    settle_drain(effects);
    ask(now, effects);
  }
  leave(effects);
  return effects;
}

void Worker::beat(std::vector<QueueReport> queues) {
  say(Heartbeat{capacity(), static_cast<std::uint32_t>(in_flight_.size()),
                static_cast<std::uint32_t>(held_.size()), std::move(queues)});
}

Effects Worker::read(const std::vector<PageEnded>& pages, Time now) {
  Effects effects;
  for (const PageEnded& page : pages)
    if (auto event = queues_.ended(page, now)) effects.events.push_back(std::move(*event));
  if (state_ != State::active) queues_.forget();
  watch_queues(now, effects);
  leave(effects);
  return effects;
}

// What was read is told at once, with a heartbeat: it is worth less with each moment.
void Worker::watch_queues(Time now, Effects& effects) {
  if (state_ != State::active) return;
  effects.reads = queues_.due(now);
  std::vector<QueueReport> queues = queues_.take(now);
  if (queues.empty()) return;
  // Where nobody waits more calls may begin now.
  for (const QueueReport& queue : queues)
    if (queue.waiting == 0 && queue.running > 0)
      held_.wake(static_cast<std::size_t>(queue.running));
  beat(std::move(queues));
  ask(now, effects);
}

Effects Worker::drain(Time now) {
  Effects effects;
  begin_drain(now, effects);
  leave(effects);
  return effects;
}

void Worker::begin_drain(Time now, Effects& effects) {
  if (draining_) return;
  draining_ = true;
  drain_ends_ = now + options_.drain_timeout;
  effects.events.push_back({"worker.draining", {{"in_flight", std::to_string(in_flight_.size())}}});
  return_held();
  beat({});
  settle_drain(effects);
}

// While draining nothing stays held, neither what the coordinator gave before it knew, nor what a
// Welcome left here.
void Worker::return_held() {
  if (!draining_ || state_ != State::active) return;
  Returned held;
  for (const CallId call : held_.all()) {
    held.calls.push_back({call, AttemptId{}});
    held_.take(call);
  }
  if (!held.calls.empty()) say(std::move(held));
}

void Worker::settle_drain(Effects& effects) {
  if (draining_ && !finished_ && in_flight_.empty() && outbox_.empty()) finish(effects);
}

// Nothing is said after Goodbye: the session is over for the coordinator.
void Worker::finish(Effects& effects) {
  finished_ = true;
  effects.finished = true;
  drain_ends_ = never;
  say(Goodbye{});
  state_ = State::down;
}

void Worker::measure(Sizes& sizes) const {
  sizes["worker.jobs"] += jobs_.size();
  sizes["worker.endpoints"] += announced_.size();
  sizes["worker.calls in flight"] += in_flight_.size();
  sizes["worker.returns"] += unsaid_.size();
  sizes["worker.outbox"] += outbox_.size();
  sizes["worker.pages"] += queues_.size();
  sizes["worker.stored"] += shared_.size();
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

void Worker::say(Message message) {
  if (state_ == State::active) speech_.say(std::move(message));
}

void Worker::leave(Effects& effects) {
  outcome_bytes_said_ = 0;
  Envelope envelope;
  envelope.epoch = grammar_.epoch();
  envelope.session = grammar_.session();
  envelope.ack = grammar_.heard();
  for (Speech::Left& frame : speech_.leave(envelope))
    effects.frames.push_back(std::move(frame.bytes));
}

// ---- the way of a call: held, permitted, sent, answered, recorded ------------------------------

void Worker::handle(const JobOpened& opened, Effects& effects) {
  auto spec = job_spec_from_json(opened.spec, Unknown::skipped);
  if (!spec) {
    effects.events.push_back({"job.unreadable", {{"why", spec.error().message}}, true});
    return;
  }
  openai::CallForms forms{*spec};
  auto schema = openai::answer_schema_of(*spec);
  Job job{std::move(*spec), std::move(forms), std::move(schema), {}, opened.by_reference};
  for (const EndpointEntry& entry : opened.endpoints) job.endpoints[entry.id] = entry;
  jobs_.insert_or_assign(opened.job, std::move(job));
}

void Worker::handle(Batch& batch, Effects& effects) {
  std::string file;
  for (PlannedCall& call : batch.calls) {
    TextsToLoad load{call.call, {}};
    for (PlannedPart& part : call.parts) {
      if (!part.range) continue;
      if (part.range.file.empty())
        part.range.file = file;
      else
        file = part.range.file;
      load.parts.push_back(part.range);
    }
    if (load.parts.empty()) {
      held_.add(std::move(call));
    } else {
      held_.add_without_texts(std::move(call));
      effects.loads.push_back(std::move(load));
    }
  }
}

Effects Worker::loaded(std::vector<TextsLoaded> calls, Time now) {
  Effects effects;
  Returned unread;
  for (TextsLoaded& call : calls) {
    if (!shared_.is_of(call.session)) continue;
    if (call.failure.empty()) {
      held_.has_texts(call.call, std::move(call.texts));
      continue;
    }
    give_up_sharing(call.failure, effects);
    if (held_.take(call.call)) unread.calls.push_back({call.call, AttemptId{}});
  }
  if (!unread.calls.empty()) say(std::move(unread));
  ask(now, effects);
  leave(effects);
  return effects;
}

Effects Worker::proved(ProvedShared proved) {
  Effects effects;
  if (state_ != State::active || !shared_.is_of(proved.session)) return effects;
  if (!proved.failure.empty()) {
    if (shared_.give_up())
      effects.events.push_back({"shared.unproven", {{"why", proved.failure}}, true});
    return effects;
  }
  say(std::move(proved.words));
  leave(effects);
  return effects;
}

// Nothing is lost by it: what follows travels by value.
void Worker::give_up_sharing(const std::string& why, Effects& effects) {
  if (!shared_.give_up()) return;
  effects.events.push_back({"shared.given_up", {{"why", why}}, true});
  say(SharedProof{});
}

// The outcome leaves once its body is durable.
bool Worker::store(const Outcome& outcome, Effects& effects) {
  const auto job = jobs_.find(outcome.job());
  if (!shared_.stores(outcome) || job == jobs_.end() || !job->second.by_reference) return false;
  Outcome judged = outcome;
  openai::judge_body(judged);
  openai::judge_label(job->second.spec, judged);
  if (judged.cls != OutcomeClass::ok) return false;
  shared_.storing(outcome.attempt, openai::label_of(job->second.spec, judged));
  effects.stores.push_back({outcome.attempt, outcome.job(), openai::stored_text(outcome)});
  return true;
}

Effects Worker::stored(std::vector<BodyStored> bodies) {
  Effects effects;
  std::vector<const Outcome*> ready;
  for (BodyStored& body : bodies) {
    if (!shared_.is_of(body.session)) continue;
    if (!body.failure.empty()) give_up_sharing(body.failure, effects);
    if (!shared_.stored(body.attempt, std::move(body.place))) continue;
    const auto outcome = outbox_.outcomes().find(body.attempt);
    if (outcome != outbox_.outcomes().end()) ready.push_back(&outcome->second);
  }
  if (state_ == State::active) say_outcomes(std::move(ready));
  settle_drain(effects);
  leave(effects);
  return effects;
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
  if (!late.calls.empty()) say(std::move(late));
  if (!gone.calls.empty()) say(std::move(gone));
}

void Worker::handle(const Wait& wait, Time now) {
  held_.wait(wait.nonce, wait.calls, now + std::chrono::milliseconds{wait.wait_ms});
}

void Worker::handle(const Recorded& recorded) {
  for (const AttemptId attempt : recorded.attempts) {
    outbox_.remove(attempt);
    shared_.recorded(attempt);
  }
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
  call.claim = {permit.call, permit.attempt, planned->part_ids(), permit.endpoint};
  const auto refuse = [&](OutcomeClass cls, std::string code, std::string message) {
    Outcome outcome{call.claim, {}, {}};
    outcome.cls = cls;
    outcome.code = std::move(code);
    outcome.message = std::move(message);
    std::vector<Outcome> one;
    one.push_back(std::move(outcome));
    deliver(std::move(one), effects);
  };
  const auto job = jobs_.find(planned->job());
  const Served where = job == jobs_.end() ? Served{} : endpoint(job->second, permit.endpoint);
  if (where.spec == nullptr) {
    say(Returned{{{permit.call, permit.attempt}}, false});
    effects.events.push_back(
        {"permit.unusable", {{"endpoint", std::to_string(permit.endpoint.value)}}, true});
    return;
  }
  if (std::string why = options_.keys.why_not(*where.spec, where.of); !why.empty())
    return refuse(OutcomeClass::config, "key_not_allowed", std::move(why));
  const JobSpec& spec = job->second.spec;
  auto request = rendered(job->second.forms, *planned, where.model);
  if (!request && request.error().code == ErrorCode::conflict)
    return refuse(OutcomeClass::too_long, "exceeds_limit", request.error().message);
  if (!request) return refuse(OutcomeClass::bad_line, "invalid_line", request.error().message);
  call.asked = openai::asked_of(*request);
  if (call.asked.json) call.asked.schema = job->second.schema;
  if (call.claim.parts.size() > 1) call.lengths = openai::input_lengths(*request);
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
  give_back(std::move(unstarted));
  give_back(std::move(too_late));
  held_.wake(calls.size()); // what they leave free may be what others wait for
  deliver(std::move(outcomes), effects);
  settle_drain(effects);
  ask(now, effects);
  leave(effects);
  return effects;
}

// A Hello that is on its way lists them as in flight, and nothing else would ever end them.
void Worker::give_back(Returned unstarted) {
  if (unstarted.calls.empty()) return;
  if (state_ == State::greeting) {
    unsaid_.push_back(std::move(unstarted));
  } else {
    say(std::move(unstarted));
  }
}

Outcome Worker::outcome_of(const InFlight& call, CallEnded end, std::int64_t unix_now) const {
  Reply reply;
  std::vector<Answer> answers;
  if (end.end == CallEnd::answered) {
    reply = openai::read_reply(call.asked, end.http_status, end.headers, end.body, unix_now);
    if (reply.model.empty()) reply.model = call.model;
    if (call.claim.parts.size() > 1 && reply.cls == OutcomeClass::ok) {
      answers = openai::answers_of(reply, call.claim.parts, call.lengths);
      reply.body.clear();
    }
  } else {
    reply.cls = class_of(end);
    reply.model = call.model;
    reply.code = std::move(end.code);
    reply.message = std::move(end.message);
  }
  reply.latency_us = end.latency_us;
  return {call.claim, std::move(reply), std::move(answers)};
}

void Worker::deliver(std::vector<Outcome> outcomes, Effects& effects) {
  std::vector<const Outcome*> fresh;
  for (Outcome& outcome : outcomes) {
    const AttemptId attempt = outcome.attempt;
    outbox_.add(std::move(outcome));
    const Outcome& kept = outbox_.outcomes().at(attempt);
    if (state_ != State::active || !store(kept, effects)) fresh.push_back(&kept);
  }
  if (state_ == State::active) say_outcomes(std::move(fresh));
}

void Worker::say_outcomes(std::vector<const Outcome*> outcomes) {
  Outcomes some;
  std::size_t bytes = 0;
  std::string last_model;
  for (const Outcome* outcome : outcomes) {
    Outcome told = shared_.told(*outcome, last_model);
    if (bytes > 0 && bytes + told.bytes() > limits::frame_target_bytes) {
      say(std::move(some));
      some = {};
      bytes = 0;
      last_model.clear();
      told = shared_.told(*outcome, last_model);
    }
    bytes += told.bytes();
    outcome_bytes_said_ += told.bytes();
    some.outcomes.push_back(std::move(told));
  }
  if (!some.outcomes.empty()) say(std::move(some));
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
  // The permits live from now on: nothing that takes long on its way goes before the question.
  if (outcome_bytes_said_ > outcome_bytes_with_need) leave(effects);
  say(Need{nonce, std::move(calls)});
}

} // namespace gristmill::worker
