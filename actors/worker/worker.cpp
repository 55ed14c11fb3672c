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
#include <ranges>
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
  forget_permits();
  queues_.forget();
  return effects;
}

void Worker::say_hello(Time now, Effects& effects) {
  leave(effects);
  state_ = State::greeting;
  hello_at_ = now;
  heartbeat_at_ = never;
  forget_permits();
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

// A Hello lists outcomes as kept, and calls with a permit to spare as held without one.
void Worker::forget_permits() {
  held_.forget_needs();
  for (const Permit& permit : std::views::reverse(spares_.take_all()))
    held_.ready_again(permit.call);
  gathered_.clear();
  gathered_bytes_ = 0;
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
  speak(now, effects);
  return effects;
}

void Worker::act_on(Frame& frame, Time now, Effects& effects) {
  for (Message& message : frame.messages) act_on(message, now, effects);
  start_spares(now, effects);
  return_held();
  settle_drain(effects);
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
  start_spares(now, effects);
  if (now >= drain_ends_) {
    // What is still in flight is left to itself: its outcome is unknown.
    finish(effects);
  } else {
    settle_drain(effects);
  }
  speak(now, effects);
  return effects;
}

// The coordinator counts a call with a permit as in flight.
void Worker::beat(std::vector<QueueReport> queues) {
  say(Heartbeat{capacity(), static_cast<std::uint32_t>(in_flight_.size() + spares_.size()),
                static_cast<std::uint32_t>(held_.size() - spares_.size()), std::move(queues)});
}

Effects Worker::read(const std::vector<PageEnded>& pages, Time now) {
  Effects effects;
  for (const PageEnded& page : pages)
    if (auto event = queues_.ended(page, now)) effects.events.push_back(std::move(*event));
  if (state_ != State::active) queues_.forget();
  watch_queues(now, effects);
  speak(now, effects);
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
}

Effects Worker::drain(Time now) {
  Effects effects;
  begin_drain(now, effects);
  speak(now, effects);
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
  for (const Permit& permit : spares_.take_all()) {
    held.calls.push_back({permit.call, permit.attempt});
    held_.take(permit.call);
  }
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
  sizes["worker.gathered"] += gathered_.size();
  sizes["worker.spare permits"] += spares_.size();
  sizes["worker.pages"] += queues_.size();
  sizes["worker.stored"] += shared_.size();
  held_.measure(sizes);
}

Time Worker::wake_at() const {
  Time at = drain_ends_;
  if (state_ == State::greeting) at = std::min(at, hello_at_ + hello_repeat_);
  if (state_ == State::active) at = std::min({at, heartbeat_at_, queues_.wake_at()});
  if (state_ == State::active && !draining_)
    at = std::min({at, held_.next_due(defaults::need_repeat), spares_.next_due()});
  if (!gathered_.empty()) at = std::min(at, gathered_until_);
  return at;
}

Capacity Worker::capacity() const {
  if (draining_) return {0, 0};
  return options_.capacity;
}

// What has gathered goes before all else that is said, whose counts reckon with it.
void Worker::say(Message message) {
  say_gathered();
  if (state_ == State::active) speech_.say(std::move(message));
}

void Worker::speak(Time now, Effects& effects) {
  if (!may_gather(now)) say_gathered();
  ask(now, effects);
  leave(effects);
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
  speak(now, effects);
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

Effects Worker::stored(std::vector<BodyStored> bodies, Time now) {
  Effects effects;
  for (BodyStored& body : bodies) {
    if (!shared_.is_of(body.session)) continue;
    if (!body.failure.empty()) give_up_sharing(body.failure, effects);
    if (!shared_.stored(body.attempt, std::move(body.place))) continue;
    const Outcome* outcome = outbox_.find(body.attempt);
    if (outcome != nullptr && state_ == State::active) gather(*outcome, now);
  }
  settle_drain(effects);
  speak(now, effects);
  return effects;
}

void Worker::handle(const Permits& permits, Time now, Effects& effects) {
  const auto sent = held_.sent_at(permits.nonce);
  const Time asked_at = mutated("spare_permit_lives_from_receipt") ? now : sent.value_or(now);
  Returned late, gone, unused;
  late.keeps_calls = unused.keeps_calls = true;
  late.too_late = !draining_;
  for (const Permit& permit : permits.permits) {
    // Without its Need nobody can say how old a permit is.
    const bool ages = permit.life_ms != 0 && !mutated("no_lease_check_in_worker");
    const Time from = sent && !mutated("lease_from_receipt") ? *sent : now;
    const Time not_after = !ages  ? never
                           : sent ? from + std::chrono::milliseconds{permit.life_ms}
                                  : Time::min();
    if (!held_.lacks_permit(permit.call)) {
      gone.calls.push_back({permit.call, permit.attempt});
    } else if (now < not_after && !draining_) {
      if (in_flight_.size() < options_.capacity.calls) {
        start(permit, not_after, now, effects);
      } else if (spares_.add(permit, asked_at, now)) {
        held_.permitted(permit.call);
      } else {
        unused.calls.push_back({permit.call, permit.attempt});
        held_.ready_again(permit.call);
      }
    } else {
      late.calls.push_back({permit.call, permit.attempt});
      held_.ready_again(permit.call);
    }
  }
  if (!late.calls.empty()) say(std::move(late));
  if (!gone.calls.empty()) say(std::move(gone));
  if (!unused.calls.empty()) say(std::move(unused));
}

// Those that found no slot in time go back, so that others may begin calls in their place.
void Worker::start_spares(Time now, Effects& effects) {
  Returned unused;
  unused.keeps_calls = true;
  // The oldest is to be asked for first, and each goes to the front.
  for (const Permit& permit : std::views::reverse(spares_.take_unused(now))) {
    unused.calls.push_back({permit.call, permit.attempt});
    held_.ready_again(permit.call);
  }
  if (!unused.calls.empty()) say(std::move(unused));
  while (in_flight_.size() < options_.capacity.calls) {
    const auto spare = spares_.next();
    if (!spare) return;
    if (mutated("returned_permit_used") && !held_.contains(spare->permit.call)) continue;
    start(spare->permit, spare->not_after, now, effects);
  }
}

void Worker::handle(const Wait& wait, Time now) {
  const Time until = now + std::chrono::milliseconds{wait.wait_ms};
  held_.wait(wait.nonce, wait.calls, until);
  spares_.told_to_wait(until);
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
  Returned unused;
  for (const CallId call : cancel.calls) {
    if (const auto attempt = spares_.take(call)) unused.calls.push_back({call, *attempt});
    if (held_.take(call)) continue;
    for (const auto& [attempt, flying] : in_flight_)
      if (flying.claim.call == call) effects.aborts.push_back(attempt);
  }
  if (!unused.calls.empty()) say(std::move(unused));
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

void Worker::start(const Permit& permit, Time not_after, Time now, Effects& effects) {
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
    deliver(std::move(one), now, effects);
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
  spares_.ended(calls.size(), now);
  deliver(std::move(outcomes), now, effects);
  start_spares(now, effects);
  settle_drain(effects);
  speak(now, effects);
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

// Without a session they stay in the outbox, of which the next Welcome has all told.
void Worker::deliver(std::vector<Outcome> outcomes, Time now, Effects& effects) {
  for (Outcome& outcome : outcomes) {
    const AttemptId attempt = outcome.attempt;
    outbox_.add(std::move(outcome));
    const Outcome& kept = outbox_.outcomes().at(attempt);
    if (state_ == State::active && !store(kept, effects)) gather(kept, now);
  }
}

void Worker::gather(const Outcome& outcome, Time now) {
  if (gathered_.empty()) gathered_until_ = now + options_.outcomes_wait_most;
  gathered_.push_back(outcome.attempt);
  gathered_bytes_ += outcome.bytes();
}

// Only while the slots that they left have their next calls, and others will, too.
bool Worker::may_gather(Time now) const {
  return !spares_.empty() && now < gathered_until_ && gathered_bytes_ <= outcome_bytes_with_need;
}

void Worker::say_gathered() {
  std::vector<const Outcome*> outcomes;
  for (const AttemptId attempt : std::exchange(gathered_, {}))
    if (const Outcome* outcome = outbox_.find(attempt)) outcomes.push_back(outcome);
  gathered_bytes_ = 0;
  say_outcomes(std::move(outcomes));
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
  const std::size_t slots = options_.capacity.calls, asked = held_.asked();
  const std::size_t free = slots - std::min(slots, in_flight_.size());
  const std::size_t could_start = free - std::min(free, asked);
  // Several at a time: when half of them are used up, or when something is said anyway.
  const std::size_t has = spares_.size() + asked - std::min(free, asked);
  const std::size_t most = std::min(spares_.most(now), slots);
  const bool asks_ahead = 2 * has <= most || could_start > 0 || !speech_.waiting().empty();
  const std::size_t ahead = asks_ahead ? most - std::min(most, has) : 0;
  const Nonce nonce{next_nonce_};
  std::vector<CallId> calls = held_.ask(could_start, nonce, now, ahead);
  if (calls.empty()) return;
  ++next_nonce_;
  const std::size_t later = calls.size() - std::min(calls.size(), could_start);
  // What has gathered goes first. The permits live from now on: nothing that takes long on its way
  // goes before the question.
  say_gathered();
  if (outcome_bytes_said_ > outcome_bytes_with_need) leave(effects);
  say(Need{nonce, std::move(calls), static_cast<std::uint32_t>(later)});
}

} // namespace gristmill::worker
