#include "actors/coordinator/coordinator.hpp"

#include "actors/coordinator/proof.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/codec.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

using namespace protocol;

Coordinator::Coordinator(Options options, Time now)
    : options_{std::move(options)}, roster_{options_.epoch},
      grace_ends_{options_.expected.empty() || options_.workers_died
                      ? now
                      : now + defaults::restart_grace} {
  if (options_.workers_died) return;
  for (const journal::SessionNote& before : options_.expected) earlier_.insert(before.process);
}

Effects Coordinator::received(const std::vector<ReceivedFrame>& frames, Time now) {
  Effects effects;
  for (const ReceivedFrame& frame : frames) receive(frame, now, effects);
  dispatch(now, effects);
  return effects;
}

void Coordinator::receive(const ReceivedFrame& received, Time now, Effects& effects) {
  auto frame = decode(received.bytes, Direction::from_worker);
  if (!frame) {
    return effects.events.push_back(
        {"frame.bad", {{"user", received.user}, {"why", frame.error().message}}, true});
  }
  Session* session = roster_.of_peer(received.peer);
  Grammar stranger{Direction::from_worker, options_.epoch};
  const Heard heard = (session ? session->grammar : stranger).hear(*frame);
  switch (heard.verdict) {
  case Verdict::ok: break;
  case Verdict::other_session:
    if (mutated("frame_without_session")) break;
    [[fallthrough]];
  case Verdict::needs_hello:
    return refuse(received.peer, RefusedCode::no_session, "say Hello first", effects);
  case Verdict::gap:
    if (mutated("gap_ignored")) break;
    return refuse(received.peer, RefusedCode::resync, heard.sentence, effects);
  case Verdict::violation:
    return effects.events.push_back(
        {"frame.violation", {{"user", received.user}, {"why", heard.sentence}}, true});
  default: return;
  }
  if (auto* h = std::get_if<Hello>(&frame->message)) {
    bring_within_reason(*h);
    return hello(received, *h, now, effects);
  }
  session->last_heard = now;
  if (session->state == SessionState::suspect) session->state = SessionState::active;
  session->heard_by_worker(frame->ack);
  std::visit(
      [&](auto& message) {
        using M = std::decay_t<decltype(message)>;
        if constexpr (std::is_same_v<M, Outcomes> || std::is_same_v<M, Need> ||
                      std::is_same_v<M, Returned>) {
          handle(*session, message, now, effects);
        } else if constexpr (std::is_same_v<M, Heartbeat>) {
          handle(*session, message, frame->ack, now, effects);
        } else if constexpr (std::is_same_v<M, Goodbye>) {
          lose(session->id, Departure::goodbye, "goodbye", effects);
        }
      },
      frame->message);
}

void Coordinator::hello(const ReceivedFrame& received, const Hello& hello, Time now,
                        Effects& effects) {
  const PeerId& peer = received.peer;
  if (hello.version_low > version_max || hello.version_high < version_min) {
    refuse(peer, RefusedCode::version,
           fmt::format("this coordinator speaks protocol versions {} to {}, the worker {} to {}; "
                       "install the same release on both",
                       version_min, version_max, hello.version_low, hello.version_high),
           effects);
    return;
  }
  if (!options_.cluster.empty() && hello.cluster != options_.cluster) {
    refuse(peer, RefusedCode::cluster,
           "this worker belongs to another cluster; give it this cluster's worker.access file",
           effects);
    return;
  }
  if (hello.endpoints.size() > limits::hello_endpoints_max) {
    refuse(peer, RefusedCode::full,
           fmt::format("expected a worker to announce at most {} endpoints, got {}; start more "
                       "workers, or name them in the coordinator's --config",
                       limits::hello_endpoints_max, hello.endpoints.size()),
           effects);
    return;
  }
  // A connection that the worker gave up may still deliver, behind the Hello that replaced it.
  const Session* known = roster_.of_process(received.user, hello.process);
  if (known != nullptr && hello.number < known->hello) {
    effects.events.push_back({"worker.hello_overtaken", {{"name", hello.name}}});
    return;
  }
  if (std::string why = known == nullptr ? why_no_room(received.user, hello.process, now) : "";
      !why.empty()) {
    refuse(peer, RefusedCode::full, std::move(why), effects);
    return;
  }
  // A process that starts anew, with nothing in hand, under the name of one whose connection is
  // closed has replaced it.
  const bool fresh = hello.in_flight.empty() && hello.outbox.empty() && hello.held.empty();
  for (const auto& [id, session] : roster_.sessions()) {
    if (fresh && session->state == SessionState::closed && session->name == hello.name &&
        session->user == received.user && session->process != hello.process) {
      lose(id, Departure::died, "replaced by a new process of its name", effects);
      break;
    }
  }
  const auto wanted = [&](const Claim& claim) {
    if (mutated("kept_outcome_dropped") &&
        std::find(hello.outbox.begin(), hello.outbox.end(), claim) != hello.outbox.end())
      return false;
    return claim.parts.size() == 1 && jobs_.contains(claim.parts.front().job);
  };
  const auto may_be_of_earlier_life = [&](const Claim& claim) {
    return is_of_earlier_life(claim, hello.process);
  };
  if (Session* before = roster_.of_peer(peer);
      before != nullptr && before->process != hello.process)
    lose(before->id, Departure::died, "another process on its connection", effects);
  const Adopted adopted =
      roster_.adopt(peer, received.user, hello, now, {wanted, may_be_of_earlier_life});
  Session& session = *adopted.session;
  if (adopted.unproven > 0)
    effects.events.push_back(
        {"worker.unproven",
         {{"name", session.name},
          {"claims", std::to_string(adopted.unproven)},
          {"why", "they are of calls that it was not given, as far as is known"}},
         true});
  for (const Claim& claim : adopted.claims) {
    expect_end(session, claim.call, now);
    effects.jobs[claim.parts.front().job].claims.push_back(claim);
    effects.claimed.push_back({claim.attempt, claim.endpoint, claim.parts.front().job});
  }
  for (const Claim& claim : adopted.kept) {
    expect_end(session, claim.call, now);
    effects.jobs[claim.parts.front().job].kept.push_back(claim);
    effects.claimed.push_back({claim.attempt, claim.endpoint, claim.parts.front().job, true});
  }
  for (const auto& [call, assigned] : session.calls()) session.jobs_met.insert(assigned.job);
  for (const Released& r : adopted.permit_unused)
    effects.ended.push_back({Ended::How::unstarted, r.assigned.attempt, {}, {}, -1});
  for (const Released& r : adopted.unknown_to_worker)
    give_up(r, {r.assigned.item, r.call, false, false, false}, effects);
  if (adopted.replaced) {
    effects.sessions.push_back({adopted.replaced, hello.name, hello.process, false});
  }
  announce(session, hello, effects);
  std::vector<Nonce> settled{hello.process};
  for (const journal::SessionNote& before : options_.expected)
    if (fresh && before.worker == hello.name) {
      settled.push_back(before.process);
      if (before.process == hello.process) continue;
      all_told_ = false;
      never_told(before);
    }
  for (const Nonce process : settled) expect_no_more(process, effects);
  session.welcome.heartbeat_ms = static_cast<std::uint32_t>(to_ms(defaults::heartbeat));
  session.welcome.outcome_window_bytes = limits::outcome_window_bytes;
  effects.sessions.push_back(
      {session.id, session.name, session.process, true, session.capacity.calls});
  effects.events.push_back({"worker.hello",
                            {{"name", session.name},
                             {"session", std::to_string(session.id.value)},
                             {"in_flight", std::to_string(hello.in_flight.size())},
                             {"outbox", std::to_string(hello.outbox.size())},
                             {"held", std::to_string(hello.held.size())}}});
}

Effects Coordinator::session_durable(SessionId id, Time now) {
  Effects effects;
  Session* session = roster_.find(id);
  if (session == nullptr || session->state != SessionState::greeted) return effects;
  session->state = SessionState::active;
  session->last_heard = now; // it waited for us, however long the journal took
  session->postpone_deadlines(now + defaults::call_margin); // what has ended is told only now
  session->progress_at = now;
  send(*session, session->welcome, now, effects);
  if (session->told_to_drain) send(*session, Drain{}, now, effects);
  dispatch(now, effects);
  return effects;
}

void Coordinator::handle(Session& session, const Need& need, Time now, Effects& effects) {
  progressed(session, Trial::until_it_asks, now);
  Acquire acquire{session.id, need.nonce, {}};
  Cancel stands;
  for (const CallId call : need.calls) {
    const Assigned* assigned = session.find(call);
    // Calls that were withdrawn meanwhile, and ones whose permit is on its way, are passed over.
    if (assigned == nullptr || assigned->attempt) continue;
    // Its permit was out when the job was held, and came back unused.
    if (const auto job = jobs_.find(assigned->job); job != jobs_.end() && job->second.held) {
      effects.jobs[job->first].returned.push_back(
          {session.take(call).item, call, false, false, false});
      stands.calls.push_back(call);
      continue;
    }
    acquire.calls.push_back({call, assigned->job, assigned->item, assigned->token_bound,
                             assigned->model, assigned->output_bound, assigned->failed_at,
                             assigned->prefix});
  }
  if (!acquire.calls.empty()) effects.acquires.push_back(std::move(acquire));
  send_cancel(session, stands, now, effects);
}

Effects Coordinator::granted(const Granted& granted, Time now) {
  Effects effects;
  Session* session = roster_.find(granted.session);
  Permits permits{granted.nonce, {}};
  for (std::size_t n = 0; n < granted.permits.size(); ++n) {
    const Permit& permit = granted.permits[n];
    const Assigned* assigned = session ? session->find(permit.call) : nullptr;
    if (assigned == nullptr || assigned->attempt || session->state == SessionState::closed) {
      effects.ended.push_back({Ended::How::unstarted, permit.attempt, {}, {}, -1});
      continue;
    }
    session->permit(permit.call, permit.attempt, permit.endpoint,
                    n < granted.notes.size() ? granted.notes[n] : PermitNote{});
    expect_end(*session, permit.call, now);
    if (const auto job = jobs_.find(assigned->job); job != jobs_.end()) {
      job->second.pace.began();
      if (job->second.hedges)
        effects.jobs[job->first].begun.push_back({assigned->item, permit.call, permit.endpoint});
    }
    permits.permits.push_back(permit);
  }
  for (const Waiting& waiting : granted.waits) {
    hear_reason(waiting, now);
    if (session != nullptr)
      send(*session, Wait{granted.nonce, waiting.calls, waiting.wait_ms}, now, effects);
  }
  if (session != nullptr) refuse_for_good(*session, granted.exceeding, now, effects);
  if (!permits.permits.empty()) send(*session, std::move(permits), now, effects);
  if (session != nullptr && session->state == SessionState::active)
    share_elsewhere(*session, granted.waits, now, effects);
  return effects;
}

// Calls that no endpoint may ever take leave the worker, and their supervisors hear why.
void Coordinator::refuse_for_good(Session& session, const std::vector<Exceeding>& calls, Time now,
                                  Effects& effects) {
  Cancel cancel;
  for (const Exceeding& exceeding : calls) {
    const Assigned* known = session.find(exceeding.call);
    if (known == nullptr || known->attempt) continue;
    const Assigned assigned = session.take(exceeding.call);
    cancel.calls.push_back(exceeding.call);
    effects.jobs[assigned.job].returned.push_back(
        {assigned.item, exceeding.call, false, false, false, exceeding.why});
  }
  if (!cancel.calls.empty()) send_cancel(session, cancel, now, effects);
}

void Coordinator::handle(Session& session, const Heartbeat& beat, std::uint64_t ack, Time now,
                         Effects& effects) {
  session.capacity = within_limits(beat.capacity);
  std::vector<QueueReport> queues;
  for (QueueReport queue : beat.queues) {
    if (!is_reached(session, queue.endpoint)) continue;
    bring_within_reason(queue);
    queues.push_back(queue);
  }
  effects.queues.insert(effects.queues.end(), queues.begin(), queues.end());
  // A heartbeat may have crossed our Drain.
  session.draining = session.told_to_drain || beat.capacity.calls == 0;
  // Only a worker that has seen every call that we gave, permitted or withdrew can be compared with
  // our books. It need not have seen the rest: a busy worker is told to wait all the time.
  const bool comparable = session.told_seq <= ack && ack <= session.seq;
  const bool differs = beat.held != session.held() || beat.in_flight < session.in_flight() ||
                       beat.in_flight > session.in_flight() + session.dropped();
  session.differing_beats = comparable && differs ? session.differing_beats + 1 : 0;
  if (session.differing_beats >= 2) {
    session.differing_beats = 0;
    refuse(session.peer, RefusedCode::resync,
           fmt::format("the worker has {} calls in flight and {} held, the roster {} and {}",
                       beat.in_flight, beat.held, session.in_flight(), session.held()),
           effects);
    effects.events.push_back({"worker.resync", {{"name", session.name}}, true});
  } else {
    Recorded answer; // shows a closed connection, and carries our ack
    for (const QueueReport& queue : queues)
      answer.pauses.push_back(queue_readers_.pause(queue.endpoint, now));
    send(session, std::move(answer), now, effects);
  }
}

void Coordinator::send(Session& session, Message message, Time now, Effects& effects) {
  if (session.peer.empty() || session.state == SessionState::greeted) return;
  Frame frame;
  frame.epoch = options_.epoch;
  frame.session = session.id;
  frame.seq = ++session.seq;
  frame.ack = session.grammar.heard();
  frame.message = std::move(message);
  if (std::holds_alternative<Batch>(frame.message) ||
      std::holds_alternative<Permits>(frame.message) ||
      std::holds_alternative<Cancel>(frame.message) ||
      std::holds_alternative<Welcome>(frame.message))
    session.told_seq = frame.seq;
  session.last_sent = now;
  effects.frames.push_back({session.peer, encode(frame)});
  if (std::holds_alternative<Batch>(frame.message) ||
      std::holds_alternative<JobOpened>(frame.message))
    session.sent_bytes(effects.frames.back().bytes.size());
}

void Coordinator::refuse(const PeerId& peer, RefusedCode code, std::string sentence,
                         Effects& effects) {
  Frame frame;
  frame.epoch = options_.epoch;
  frame.message = Refused{code, std::move(sentence)};
  effects.frames.push_back({peer, encode(frame)});
}

} // namespace gristmill::coordinator
