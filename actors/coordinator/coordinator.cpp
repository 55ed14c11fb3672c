#include "actors/coordinator/coordinator.hpp"

#include "actors/coordinator/sessions/proof.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"
#include "protocol/rules/by_reference.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <set>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

Assigned assigned_of(const OfferedCall& call) {
  return {.job = call.planned.job(),
          .parts = call.planned.part_ids(),
          .token_bound = call.token_bound,
          .bytes = call.bytes(),
          .model = call.planned.model,
          .output_bound = call.output_bound,
          .failed_at = call.failed_at,
          .prefix = call.prefix};
}

// What its worker reads in the shared directory does not travel.
void leave_out(PlannedCall& call, std::string& last_file) {
  for (PlannedPart& part : call.parts) {
    if (!part.range) continue;
    part.raw.clear();
    if (part.range.file == last_file)
      part.range.file.clear();
    else
      last_file = part.range.file;
  }
}
void forget_ranges(PlannedCall& call) {
  for (PlannedPart& part : call.parts) part.range = {};
}

template <class T> void append(std::vector<T>& into, std::vector<T> from) {
  std::move(from.begin(), from.end(), std::back_inserter(into));
}

} // namespace

Coordinator::Coordinator(Options options, Time now)
    : sessions_{{.epoch = options.epoch,
                 .cluster = std::move(options.cluster),
                 .expected = std::move(options.expected),
                 .workers_died = options.workers_died,
                 .shared = options.shared.directory},
                now},
      endpoints_{std::move(options.pools)}, shared_{std::move(options.shared)},
      has_cache_{options.has_cache} {}

// ---- what has happened to sessions, and to their calls ----------------------------------------

void Coordinator::carry(SessionNews news) {
  append(out_.frames, std::move(news.frames));
  for (const AttemptId attempt : news.unused) out_.ended.push_back(Ended::unstarted(attempt));
  for (const auto& [assigned, lost] : news.given_up) {
    if (assigned.attempt && !mutated("slot_not_freed"))
      out_.ended.push_back(mutated("refund_on_expiry") ? Ended::unstarted(assigned.attempt)
                                                       : Ended::lost(assigned.attempt));
    const Usd charged = lost.permitted ? assigned.note.most_cost : Usd{};
    if (charged) out_.charged[assigned.job] += charged;
    if (!jobs_.contains(assigned.job)) continue;
    JobNews& of_job = out_.jobs[assigned.job];
    of_job.charged += charged;
    (lost.permitted ? of_job.lost : of_job.returned).push_back(lost);
  }
  endpoints_.gone(news.endpoints_gone);
  append(out_.endpoints_gone, std::move(news.endpoints_gone));
  append(out_.sessions, std::move(news.notes));
  append(out_.events, std::move(news.events));
}

Effects Coordinator::peer_gone(const PeerId& peer, Time now) {
  carry(sessions_.connection_closed(peer, now));
  return leave();
}

Effects Coordinator::key_removed(const PeerId& peer, Time now) {
  carry(sessions_.key_removed(peer));
  feed_workers(now);
  return leave();
}

Effects Coordinator::session_durable(SessionId id, Time now) {
  Session* session = sessions_.find(id);
  if (session == nullptr || session->state != SessionState::greeted) return leave();
  session->durable(now);
  session->say(session->welcome, now);
  if (session->told_to_drain) session->say(Drain{}, now);
  feed_workers(now);
  return leave();
}

Effects Coordinator::recorded(SessionId id, const std::vector<AttemptId>& attempts, Time now) {
  if (Session* session = sessions_.find(id)) session->say_recorded(attempts, now);
  return leave();
}

Effects Coordinator::drain(const std::string& worker, std::vector<WorkerView>& drained, Time now) {
  Sessions::Drained told = sessions_.drain(worker, now);
  append(drained, std::move(told.workers));
  carry(std::move(told.news));
  return leave();
}

Effects Coordinator::leave() {
  append(out_.frames, sessions_.leave());
  return std::exchange(out_, {});
}

Effects Coordinator::speak(Time now) {
  sessions_.speak(now);
  return leave();
}

Effects Coordinator::tick(Time now) {
  dispatch_.tick(now);
  carry(sessions_.tick(now));
  if (auto over = sessions_.end_grace(now)) {
    append(out_.sessions, std::move(over->closed));
    out_.earlier_lives_told = over->all_told;
    for (const auto& [id, job] : jobs_) {
      out_.jobs[id].grace_over = true;
      out_.jobs[id].untold_calls = sessions_.earlier().untold_calls();
    }
  }
  feed_workers(now);
  return leave();
}

// ---- what workers say -------------------------------------------------------------------------

Effects Coordinator::received(const std::vector<ReceivedFrame>& frames, Time now) {
  std::set<SessionId> heard_of;
  for (const ReceivedFrame& received : frames) {
    HeardFrame heard = sessions_.hear(received, now);
    carry(std::move(heard.news));
    if (!heard.frame) continue;
    const SessionId id = heard.session ? heard.session->id : SessionId{};
    heard_of.insert(id);
    for (Message& message : heard.frame->messages) {
      if (auto* hello_said = std::get_if<Hello>(&message)) hello(received, *hello_said, now);
      // What it says may end the session.
      if (Session* session = sessions_.find(id)) hear(*session, message, now);
    }
  }
  // The others have what they can take, as long as there are calls.
  std::vector<Session*> changed;
  for (const SessionId id : heard_of)
    if (Session* session = sessions_.find(id)) changed.push_back(session);
  feed_workers(changed, now);
  return leave();
}

void Coordinator::hear(Session& session, Message& any, Time now) {
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, Goodbye>)
          carry(sessions_.lose(session.id, Departure::goodbye, "goodbye"));
        else if constexpr (requires { hear(session, message, now); } && !std::is_same_v<M, Message>)
          hear(session, message, now);
      },
      any);
}

void Coordinator::hello(const ReceivedFrame& received, const Hello& hello, Time now) {
  Admission admission = sessions_.admit(received, hello, now);
  carry(std::move(admission.news));
  if (admission.session == nullptr) return;
  for (const Claim& claim : admission.claims)
    out_.claimed.push_back({claim.attempt, claim.endpoint, claim.job()});
  for (const Claim& claim : admission.kept)
    out_.claimed.push_back({claim.attempt, claim.endpoint, claim.job(), true});
  for (Claim& claim : admission.claims) out_.jobs[claim.job()].claims.push_back(std::move(claim));
  for (Claim& claim : admission.kept) out_.jobs[claim.job()].kept.push_back(std::move(claim));
  std::vector<EndpointId> announced;
  for (EndpointOffer& offer : endpoints_.announced(admission.session->id, hello)) {
    announced.push_back(offer.id);
    out_.endpoints_added.push_back(std::move(offer));
  }
  admission.session->announced(std::move(announced));
}

void Coordinator::hear(Session& session, const Need& need, Time now) {
  session.progressed(Trial::until_it_asks, now);
  Acquire acquire{session.id, need.nonce, {}};
  std::vector<CallId> stands;
  std::size_t left = need.calls.size();
  for (const CallId call : need.calls) {
    const bool ahead = left-- <= need.ahead;
    const Assigned* assigned = session.calls.find(call);
    // Calls that were withdrawn meanwhile, and ones whose permit is on its way, are passed over.
    if (assigned == nullptr || assigned->attempt) continue;
    // Its permit was out when the job was held, and came back unused.
    if (dispatch_.is_held(assigned->job)) {
      out_.jobs[assigned->job].returned.push_back({.call = call});
      stands.push_back(call);
      continue;
    }
    acquire.calls.push_back({.call = call,
                             .job = assigned->job,
                             .item = assigned->last_item(),
                             .token_bound = assigned->token_bound,
                             .model = assigned->model,
                             .output_bound = assigned->output_bound,
                             .failed_at = assigned->failed_at,
                             .prefix = assigned->prefix,
                             .parts = static_cast<std::uint32_t>(assigned->parts.size()),
                             .ahead = ahead});
  }
  if (!acquire.calls.empty()) out_.acquires.push_back(std::move(acquire));
  session.say_cancelled(stands, now);
}

void Coordinator::hear(Session& session, const Heartbeat& beat, Time now) {
  std::vector<QueueReport> queues;
  for (QueueReport queue : beat.queues) {
    if (!endpoints_.is_reached(queue.endpoint, session.endpoints)) continue;
    bring_within_reason(queue);
    queues.push_back(queue);
  }
  append(out_.queues, queues);
  if (session.take_beat(beat))
    return carry(sessions_.resync(
        session,
        fmt::format("the worker has {} calls in flight and {} held, the roster {} and {}",
                    beat.in_flight, beat.held, session.calls.in_flight(), session.calls.held())));
  Recorded answer; // shows a closed connection, and carries our ack
  for (const QueueReport& queue : queues)
    answer.pauses.push_back(endpoints_.queue_seen(queue.endpoint, now));
  session.say(std::move(answer), now);
}

void Coordinator::hear(Session& session, Outcomes& outcomes, Time now) {
  ToldOutcomes told = session.take_outcomes(std::move(outcomes), now);
  for (auto& [outcome, given, above_bound] : told.proven) {
    if (above_bound)
      out_.events.push_back({"usage.above_bound",
                             {{"name", session.name},
                              {"call", to_string(outcome.attempt)},
                              {"tokens", std::to_string(outcome.usage.total())},
                              {"bound", std::to_string(given.token_bound)}},
                             true});
    const CallCost cost = endpoints_.cost_of(outcome, given);
    // Of one that was given up the charge is kept, and its slot is free already.
    if (!given.given_up)
      out_.ended.push_back(
          Ended::answered(outcome, cost.known ? std::optional{cost.amount} : std::nullopt));
    if (!jobs_.contains(given.job)) {
      told.unwanted.push_back(outcome.attempt);
      continue;
    }
    if (!jobs_.at(given.job).by_reference) outcome.stored = {};
    if (outcome.stored) outcome.stored.file = answers_file(given.job, session.id);
    session.answered(outcome, given.parts);
    if (auto event = endpoints_.ended(outcome, given.job, now))
      out_.events.push_back(std::move(*event));
    const bool refuses = outcome.cls == OutcomeClass::config || outcome.cls == OutcomeClass::quota;
    const std::size_t alternatives =
        refuses ? endpoints_.alternatives_of(given.job, outcome.endpoint) : 0;
    std::string url = endpoints_.url_of(outcome.endpoint);
    auto model = given.earlier ? std::nullopt : std::optional{given.model};
    out_.jobs[given.job].outcomes.push_back({.session = session.id,
                                             .outcome = std::move(outcome),
                                             .endpoint = std::move(url),
                                             .model = std::move(model),
                                             .cost = cost.amount,
                                             .alternatives = alternatives,
                                             .began = given.since,
                                             .doubt = given.note.doubt});
  }
  if (!told.unwanted.empty()) session.say_recorded(told.unwanted, now);
  if (told.forged > 0)
    carry(sessions_.strike(
        session.id, fmt::format("{} outcomes of calls that it was not given", told.forged), now));
}

void Coordinator::hear(Session& session, const Returned& returned, Time now) {
  const TakenBack back = session.take_back(returned, now);
  for (const AttemptId attempt : back.unused)
    out_.ended.push_back(returned.too_late ? Ended::too_late(attempt) : Ended::unstarted(attempt));
  for (const auto& [call, assigned] : back.calls)
    out_.jobs[assigned.job].returned.push_back({.call = call});
  session.say_cancelled(back.not_held, now);
  if (back.forged > 0)
    carry(sessions_.strike(session.id,
                           fmt::format("{} permits back that it was not given", back.forged), now));
}

void Coordinator::hear(Session& session, const SharedProof& proof, Time) {
  session.by_reference = false;
  if (proof.theirs.empty() || std::exchange(session.proof_told, true)) return;
  if (shared_.word.empty() || proof.theirs != shared_.word) {
    out_.events.push_back({"shared.other_directory", {{"name", session.name}}, true});
    return;
  }
  out_.shared_checks.push_back({session.id, proof.ours});
}

Effects Coordinator::shared_checked(SessionId id, const std::string& why_not, Time now) {
  Session* session = sessions_.find(id);
  if (session == nullptr) return leave();
  if (!why_not.empty()) {
    out_.events.push_back({"shared.unproven", {{"name", session->name}, {"why", why_not}}, true});
    return leave();
  }
  session->by_reference = true;
  session->say(SharedAgreed{}, now);
  out_.events.push_back({"shared.agreed", {{"name", session->name}}});
  return leave();
}

std::string Coordinator::why_by_value(const JobSpec& spec) const {
  return gristmill::why_by_value(spec, has_cache_);
}

// ---- permits --------------------------------------------------------------------------------

Effects Coordinator::granted(const Granted& granted, Time now) {
  Permits permits{granted.nonce, {}};
  for (std::size_t n = 0; n < granted.permits.size(); ++n) {
    const Permit& permit = granted.permits[n];
    const PermitNote note = n < granted.notes.size() ? granted.notes[n] : PermitNote{};
    const Assigned* assigned = sessions_.permit(granted.session, permit, note, now);
    if (assigned == nullptr) {
      out_.ended.push_back(Ended::unstarted(permit.attempt));
      continue;
    }
    dispatch_.call_began(assigned->job, assigned->parts.size());
    if (const auto job = jobs_.find(assigned->job); job != jobs_.end() && job->second.hedges)
      out_.jobs[job->first].begun.push_back({permit.call, permit.endpoint});
    permits.permits.push_back(permit);
  }
  for (const Waiting& waiting : granted.waits) waits_.hear(waiting, now);
  Session* session = sessions_.find(granted.session);
  if (session == nullptr) return leave();
  for (const Waiting& waiting : granted.waits)
    session->say(Wait{granted.nonce, waiting.calls, waiting.wait_ms}, now);
  if (!granted.not_ahead.empty())
    session->say(Wait{granted.nonce, granted.not_ahead,
                      static_cast<std::uint32_t>(to_ms(defaults::not_ahead_for))},
                 now);
  // Calls that no endpoint may ever take leave the worker, and their supervisors hear why.
  std::vector<CallId> refused;
  for (const Exceeding& exceeding : granted.exceeding) {
    const Assigned* assigned = session->calls.find(exceeding.call);
    if (assigned == nullptr || assigned->attempt) continue;
    out_.jobs[assigned->job].returned.push_back(
        {.call = exceeding.call,
         .exceeds = exceeding.by_parts ? std::string{} : exceeding.why,
         .by_parts = exceeding.by_parts});
    session->calls.take(exceeding.call);
    refused.push_back(exceeding.call);
  }
  session->say_cancelled(refused, now);
  if (!permits.permits.empty()) session->say(std::move(permits), now);
  if (session->state == SessionState::active) share_elsewhere(*session, granted.waits, now);
  return leave();
}

Effects Coordinator::packs_told(const std::vector<PackNews>& news) {
  for (const PackNews& told : news)
    if (jobs_.contains(told.job)) out_.jobs[told.job].packs.push_back(told.size);
  return leave();
}

// An endpoint of its own is away, and its calls only wait for it: those that others can make
// elsewhere go there. One of them at a time finds out when it is back.
void Coordinator::share_elsewhere(const Session& session, const std::vector<Waiting>& waits,
                                  Time now) {
  if (session.on_trial()) return;
  const auto others_serve = [&](JobId job) {
    const SessionMap& all = sessions_.all();
    return std::any_of(all.begin(), all.end(), [&](const auto& entry) {
      const Session& other = *entry.second;
      return other.may_be_fed() && !other.on_trial() &&
             endpoints_.serve_elsewhere(job, session.endpoints, other.endpoints);
    });
  };
  const auto away = std::find_if(waits.begin(), waits.end(), [&](const Waiting& waiting) {
    const WaitReason& reason = waiting.reason;
    const bool rests = (reason.kind == WaitKind::cooldown || reason.kind == WaitKind::quota) &&
                       reason.until - now >= defaults::shared_elsewhere_least;
    return (reason.kind == WaitKind::breaker || rests) && others_serve(waiting.job);
  });
  if (away != waits.end()) carry(sessions_.relieve(session.id, away->reason, now));
}

// ---- jobs and their calls ---------------------------------------------------------------------

Effects Coordinator::started() {
  out_.endpoints_added = endpoints_.started();
  return leave();
}

Effects Coordinator::job_opened(JobId id, const JobSpec& spec, std::vector<EndpointId>& endpoints,
                                Time now, const EarlierLives& earlier) {
  for (EndpointOffer& own : endpoints_.job_opened(id, spec, earlier.assumed_cost)) {
    endpoints.push_back(own.id);
    out_.endpoints_added.push_back(std::move(own));
  }
  const Duration call_most = std::chrono::milliseconds{spec.policy.timeout_ms} +
                             std::chrono::milliseconds{spec.policy.connect_timeout_ms} +
                             defaults::call_margin;
  sessions_.job_opened(id, earlier.mark, call_most);
  dispatch_.job_opened(id, own_share(spec), spec.policy.batch_size, streams_of(spec), now);
  waits_.job_opened(id);
  jobs_[id] = {.spec = json_for_workers(spec),
               .hedges = spec.policy.hedge_percent > 0,
               .by_reference = !shared_.word.empty() && why_by_value(spec).empty()};
  if (!sessions_.earlier().in_grace()) {
    out_.jobs[id].grace_over = true;
    out_.jobs[id].untold_calls = sessions_.earlier().untold_calls();
  }
  feed_workers(now);
  return leave();
}

Effects Coordinator::job_closed(JobId id, Time now) {
  jobs_.erase(id);
  waits_.job_closed(id);
  dispatch_.job_closed(id);
  append(out_.endpoints_gone, endpoints_.job_closed(id));
  carry(sessions_.job_closed(id, now));
  feed_workers(now);
  return leave();
}

Effects Coordinator::job_failed(JobId id) {
  carry(sessions_.job_failed(id));
  return leave();
}

Effects Coordinator::job_held(JobId id, Time now) {
  if (!jobs_.contains(id)) return leave();
  for (const CallId call : dispatch_.job_held(id)) out_.jobs[id].returned.push_back({.call = call});
  carry(sessions_.job_held(id, now));
  return leave();
}

Effects Coordinator::job_released(JobId id, Time now) {
  dispatch_.job_released(id);
  feed_workers(now);
  return leave();
}

Effects Coordinator::mind_deadline(JobId id, double items_left, double seconds_left) {
  if (const auto share =
          dispatch_.mind_deadline(id, items_left, seconds_left, endpoints_.rivals_of(id)))
    out_.shares_changed.emplace_back(id, *share);
  return leave();
}

Effects Coordinator::offered(JobId id, std::vector<OfferedCall> calls, Time now) {
  if (!jobs_.contains(id)) return leave();
  for (OfferedCall& call : calls) {
    dispatch_.came(call);
    const CallId offered = call.planned.call;
    if (std::string why = endpoints_.why_never_served(id, call.planned.model); !why.empty()) {
      ReportedOutcome unserved;
      unserved.outcome.call = offered;
      unserved.outcome.parts = call.planned.part_ids();
      unserved.outcome.cls = OutcomeClass::bad_line;
      unserved.outcome.code = "model_not_served";
      unserved.outcome.message = std::move(why);
      out_.jobs[id].outcomes.push_back(std::move(unserved));
    } else if (!dispatch_.push(std::move(call))) {
      out_.jobs[id].returned.push_back({.call = offered});
    }
  }
  feed_workers(now);
  return leave();
}

Effects Coordinator::withdrawn(JobId job, const std::vector<CallId>& calls, Time now) {
  carry(sessions_.withdraw(calls, now));
  dispatch_.withdraw(job, calls);
  feed_workers(now);
  return leave();
}

// After what may concern all of them: calls have come, a session or a job has, or time has passed.
void Coordinator::feed_workers(Time now) {
  dispatch_.count_hands(sessions_.all());
  std::vector<Session*> all;
  for (const auto& [id, session] : sessions_.all()) all.push_back(session.get());
  feed_workers(all, now);
}

void Coordinator::feed_workers(const std::vector<Session*>& changed, Time now) {
  for (Session* session : Dispatch::turns(changed)) feed(*session, now);
  for (const Wanted& wanted : dispatch_.ask()) out_.jobs[wanted.job].room.push_back(wanted.room);
}

void Coordinator::feed(Session& session, Time now) {
  Portion portion = dispatch_.portion_of(session, sessions_.size(), now);
  if (portion.empty()) return;
  // While it has calls in hand, more may come with the permits of those.
  const auto say = [&, aside = !portion.urgent](Message message) {
    aside ? session.say_aside(std::move(message), now) : session.say(std::move(message), now);
  };
  const FairQueue::Reaches reaches = [&](const StreamId& stream, const std::string& model) {
    return endpoints_.reaches(stream.job, model, session.endpoints);
  };
  const auto is_busy = [&](JobId job) { return session.calls.held_of(job) > 0; };
  for (; !portion.full; portion.next_batch()) {
    Batch batch;
    std::string last_file;
    while (std::optional<OfferedCall> call = dispatch_.next(session, portion, reaches)) {
      const JobId id = call->planned.job();
      const std::string& spec = jobs_.at(id).spec;
      if (session.jobs.open(id, spec.size())) {
        Recorded idle;
        idle.closed_jobs = session.jobs.close_idle(is_busy);
        if (!idle.closed_jobs.empty()) say(std::move(idle));
        say(JobOpened{id, spec, endpoints_.of_job(id), jobs_.at(id).by_reference});
      }
      session.feed(call->planned.call, assigned_of(*call), now);
      if (session.by_reference)
        leave_out(call->planned, last_file);
      else
        forget_ranges(call->planned);
      batch.calls.push_back(std::move(call->planned));
    }
    if (batch.calls.empty()) return;
    say(std::move(batch));
  }
}

// ---- for who asks -----------------------------------------------------------------------------

WaitReason Coordinator::why_waiting(JobId id, Time now) const {
  const SessionMap& all = sessions_.all();
  const EarlierSessions& earlier = sessions_.earlier();
  JobFacts facts{.unserved = endpoints_.why_unserved(id),
                 .queued = dispatch_.queued(id),
                 .others_queued = dispatch_.other_jobs_queued(id)};
  for (const std::string& model : dispatch_.models_queued(id)) {
    if (std::any_of(all.begin(), all.end(), [&](const auto& entry) {
          return endpoints_.reaches(id, model, entry.second->endpoints);
        }))
      continue;
    facts.item_unserved = endpoints_.why_item_unserved(model);
    break;
  }
  if (earlier.in_grace() && earlier.expected() > 0 && dispatch_.has_asked(id))
    facts.claims_until = earlier.grace_ends();
  return waits_.why_waiting(id, facts, all, now);
}

WaitReason Coordinator::standing(JobId id, CallId call, Time now) const {
  if (const Session* session = sessions_.with(call)) {
    const Assigned& assigned = *session->calls.find(call);
    WaitReason standing = waits_.standing(*session, assigned, now);
    if (assigned.attempt) standing.endpoint = endpoints_.url_of(assigned.endpoint);
    return standing;
  }
  WaitReason standing = why_waiting(id, now);
  if (!standing) standing.kind = WaitKind::queued;
  return standing;
}

void Coordinator::measure(Sizes& sizes) const {
  sizes["coordinator.jobs"] = jobs_.size();
  endpoints_.measure(sizes);
  dispatch_.measure(sizes);
  sessions_.measure(sizes);
}

} // namespace gristmill::coordinator
