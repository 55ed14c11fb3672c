#include "actors/coordinator/sessions/sessions.hpp"

#include "actors/coordinator/sessions/proof.hpp"
#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/codec.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

void give_up(SessionNews& news, Released&& released) {
  news.given_up.push_back({std::move(released.assigned), {.call = released.call}});
}

// What it holds goes to others. Returns the calls, which the worker is to drop.
std::vector<CallId> let_rest(SessionNews& news, Session& session, Trial trial, Time until) {
  std::vector<CallId> calls;
  for (Released& released : session.rest(trial, until)) {
    calls.push_back(released.call);
    give_up(news, std::move(released));
  }
  return calls;
}

} // namespace

Sessions::Sessions(SessionOptions options, Time now)
    : epoch_{options.epoch}, cluster_{std::move(options.cluster)}, shared_{std::move(
                                                                       options.shared)},
      roster_{options.epoch}, earlier_{options.epoch, std::move(options.expected),
                                       options.workers_died, now} {}

HeardFrame Sessions::hear(const ReceivedFrame& received, Time now) {
  HeardFrame out;
  auto frame = decode(received.bytes, Direction::from_worker);
  if (!frame) {
    out.news.events.push_back(
        {"frame.bad", {{"user", received.user}, {"why", frame.error().message}}, true});
    return out;
  }
  out.session = roster_.of_peer(received.peer);
  Grammar stranger{Direction::from_worker, epoch_};
  Heard heard = (out.session ? out.session->grammar : stranger).hear(*frame);
  switch (heard.verdict) {
  case Verdict::ok: break;
  case Verdict::other_session:
    if (mutated("frame_without_session")) break;
    [[fallthrough]];
  case Verdict::needs_hello:
    out.news.frames.push_back(refusal(received.peer, {RefusedCode::no_session, "say Hello first"}));
    return out;
  case Verdict::gap:
    if (mutated("gap_ignored")) break;
    out.news.frames.push_back(
        refusal(received.peer, {RefusedCode::resync, std::move(heard.sentence)}));
    return out;
  case Verdict::violation:
    out.news.events.push_back(
        {"frame.violation", {{"user", received.user}, {"why", heard.sentence}}, true});
    return out;
  default: return out;
  }
  if (auto* hello = std::get_if<Hello>(&frame->messages.front()))
    bring_within_reason(*hello);
  else
    out.session->heard(frame->ack, now);
  out.frame = std::move(*frame);
  return out;
}

// Why a Hello is not accepted, if that can be said before anything changes.
std::optional<Refused> Sessions::why_refused(const ReceivedFrame& received, const Hello& hello,
                                             Time now) const {
  if (hello.version_low > version_max || hello.version_high < version_min)
    return Refused{RefusedCode::version,
                   fmt::format("this coordinator speaks protocol versions {} to {}, the worker {} "
                               "to {}; install the same release on both",
                               version_min, version_max, hello.version_low, hello.version_high)};
  if (!cluster_.empty() && hello.cluster != cluster_)
    return Refused{
        RefusedCode::cluster,
        "this worker belongs to another cluster; give it this cluster's worker.access file"};
  if (hello.endpoints.size() > limits::hello_endpoints_max)
    return Refused{
        RefusedCode::full,
        fmt::format("expected a worker to announce at most {} endpoints, got {}; start more "
                    "workers, or name them in the coordinator's --config",
                    limits::hello_endpoints_max, hello.endpoints.size())};
  if (roster_.of_process(received.user, hello.process) != nullptr) return std::nullopt;
  if (std::string why = why_no_room(received.user, hello.process, now); !why.empty())
    return Refused{RefusedCode::full, std::move(why)};
  return std::nullopt;
}

// Why a process that has no session gets none now.
std::string Sessions::why_no_room(const std::string& user, Nonce process, Time now) const {
  if (const auto it = unheard_.find(process); it != unheard_.end() && now < it->second)
    return fmt::format("this worker said what cannot be true; it is heard again in {} s",
                       1 + (it->second - now) / std::chrono::seconds{1});
  if (roster_.size() >= limits::sessions_max)
    return fmt::format("{} workers are the most; end some, or start another coordinator",
                       limits::sessions_max);
  if (roster_.sessions_of(user) >= limits::sessions_per_key_max)
    return fmt::format("{} workers with one key are the most; give others a key of their own "
                       "(gristmill keygen)",
                       limits::sessions_per_key_max);
  return {};
}

Admission Sessions::admit(const ReceivedFrame& received, const Hello& hello, Time now) {
  Admission out;
  const PeerId& peer = received.peer;
  if (auto refused = why_refused(received, hello, now)) {
    out.news.frames.push_back(refusal(peer, std::move(*refused)));
    return out;
  }
  // A connection that the worker gave up may still deliver, behind the Hello that replaced it.
  const Session* known = roster_.of_process(received.user, hello.process);
  if (known != nullptr && hello.number < known->hello) {
    out.news.events.push_back({"worker.hello_overtaken", {{"name", hello.name}}});
    return out;
  }
  // A process that starts anew, with nothing in hand, under the name of one whose connection is
  // closed has replaced it.
  const bool empty_handed = hello.in_flight.empty() && hello.outbox.empty() && hello.held.empty();
  const auto is_replaced = [&](const auto& entry) {
    const Session& session = *entry.second;
    return session.state == SessionState::closed && session.name == hello.name &&
           session.user == received.user && session.process != hello.process;
  };
  const SessionMap& sessions = roster_.sessions();
  if (const auto replaced = std::find_if(sessions.begin(), sessions.end(), is_replaced);
      empty_handed && replaced != sessions.end())
    lose_into(out.news, replaced->first, Departure::died, "replaced by a new process of its name");
  if (const Session* before = roster_.of_peer(peer);
      before != nullptr && before->process != hello.process)
    lose_into(out.news, before->id, Departure::died, "another process on its connection");

  const auto wanted = [&](const Claim& claim) {
    if (mutated("kept_outcome_dropped") &&
        std::find(hello.outbox.begin(), hello.outbox.end(), claim) != hello.outbox.end())
      return false;
    return earlier_.has_job(claim.job());
  };
  const auto may_be_of_earlier_life = [&](const Claim& claim) {
    return earlier_.may_have_been_given(claim, hello.process);
  };
  Adopted adopted =
      roster_.adopt(peer, received.user, hello, now, {wanted, may_be_of_earlier_life});
  Session& session = *adopted.session;
  session.welcome.shared = shared_;
  if (adopted.unproven > 0)
    out.news.events.push_back(
        {"worker.unproven",
         {{"name", session.name},
          {"claims", std::to_string(adopted.unproven)},
          {"why", "they are of calls that it was not given, as far as is known"}},
         true});
  for (const auto* claims : {&adopted.claims, &adopted.kept})
    for (const Claim& claim : *claims) expect_end(session, claim.call, claim.job(), now);
  for (const Released& released : adopted.permit_unused)
    out.news.unused.push_back(released.assigned.attempt);
  for (Released& released : adopted.unknown_to_worker) give_up(out.news, std::move(released));
  std::vector<journal::SessionNote>& notes = out.news.notes;
  if (adopted.replaced) notes.push_back({adopted.replaced, hello.name, hello.process, false});
  for (journal::SessionNote& closed : earlier_.greeted_by(hello, empty_handed))
    notes.push_back(std::move(closed));
  notes.push_back({session.id, session.name, session.process, true, session.capacity.calls});
  out.news.events.push_back({"worker.hello",
                             {{"name", session.name},
                              {"session", std::to_string(session.id.value)},
                              {"in_flight", std::to_string(hello.in_flight.size())},
                              {"outbox", std::to_string(hello.outbox.size())},
                              {"held", std::to_string(hello.held.size())}}});
  out.session = &session;
  out.claims = std::move(adopted.claims);
  out.kept = std::move(adopted.kept);
  return out;
}

const Assigned* Sessions::permit(SessionId id, const Permit& permit, const PermitNote& note,
                                 Time now) {
  Session* session = roster_.find(id);
  const Assigned* assigned = session ? session->calls.find(permit.call) : nullptr;
  if (assigned == nullptr || assigned->attempt || session->state == SessionState::closed)
    return nullptr;
  session->calls.permit(permit.call, permit.attempt, permit.endpoint, note);
  expect_end(*session, permit.call, assigned->job, now);
  return assigned;
}

void Sessions::job_opened(JobId job, std::uint64_t mark, Duration call_most) {
  earlier_.job_opened(job, mark);
  call_most_[job] = call_most;
}

SessionNews Sessions::job_closed(JobId job, Time now) {
  SessionNews news;
  earlier_.job_closed(job);
  call_most_.erase(job);
  for (const auto& [id, session] : roster_.sessions()) {
    std::vector<CallId> calls;
    for (Released& released : session->take_all(job)) {
      calls.push_back(released.call);
      if (released.assigned.attempt && !released.assigned.given_up)
        news.given_up.push_back(
            {std::move(released.assigned), {.call = released.call, .permitted = true}});
    }
    session->say_cancelled(calls, now);
    if (!session->jobs.forget(job)) continue;
    Recorded closed;
    closed.closed_jobs.push_back(job);
    session->say(std::move(closed), now);
  }
  return news;
}

SessionNews Sessions::job_held(JobId job, Time now) {
  SessionNews news;
  for (const auto& [id, session] : roster_.sessions()) {
    std::vector<CallId> calls;
    for (Released& released : session->take_held(job)) {
      calls.push_back(released.call);
      give_up(news, std::move(released));
    }
    session->say_cancelled(calls, now);
  }
  return news;
}

SessionNews Sessions::withdraw(const std::vector<CallId>& calls, Time now) {
  SessionNews news;
  std::map<SessionId, std::vector<CallId>> withdrawn;
  for (const CallId call : calls)
    for (const auto& [id, session] : roster_.sessions()) {
      if (!session->withdraw(call)) continue;
      withdrawn[id].push_back(call);
      break;
    }
  for (const auto& [id, of_session] : withdrawn) roster_.find(id)->say_cancelled(of_session, now);
  return news;
}

void Sessions::expect_end(Session& session, CallId call, JobId job, Time now) const {
  const auto most = call_most_.find(job);
  session.calls.expect_end(call, most == call_most_.end() ? Duration::zero() : most->second, now);
}

SessionNews Sessions::connection_closed(const PeerId& peer, Time now) {
  SessionNews news;
  Session* session = roster_.of_peer(peer);
  if (session == nullptr) return news;
  news.events.push_back({"worker.disconnected", {{"name", session->name}}, true});
  roster_.connection_closed(*session, now);
  return news;
}

// Its worker may finish what it is making; who takes its key away wants to hear no more of it.
SessionNews Sessions::key_removed(const PeerId& peer) {
  SessionNews news;
  if (const Session* session = roster_.of_peer(peer))
    lose_into(news, session->id, Departure::lost, "its key was removed");
  return news;
}

SessionNews Sessions::lose(SessionId id, Departure how, std::string_view why) {
  SessionNews news;
  lose_into(news, id, how, why);
  return news;
}

void Sessions::lose_into(SessionNews& news, SessionId id, Departure how, std::string_view why) {
  std::unique_ptr<Session> session = roster_.remove(id);
  if (!session) return;
  std::vector<GivenUp> given_up;
  const bool lived = session->last_heard - session->met_at >= defaults::death_counts_after;
  const bool alone = session->calls.in_flight() - session->calls.overdue() == 1;
  for (const auto& [call, assigned] : session->calls) {
    if (assigned.given_up) continue;
    given_up.push_back({assigned,
                        {.call = call,
                         .permitted = bool{assigned.attempt},
                         // A call that its worker outlived did not end it.
                         .died = how == Departure::died && lived && !assigned.over,
                         .alone = alone}});
  }
  std::sort(given_up.begin(), given_up.end(),
            [](const GivenUp& a, const GivenUp& b) { return a.lost.call < b.lost.call; });
  std::move(given_up.begin(), given_up.end(), std::back_inserter(news.given_up));
  news.endpoints_gone.insert(news.endpoints_gone.end(), session->endpoints.begin(),
                             session->endpoints.end());
  news.notes.push_back({id, session->name, session->process, false});
  news.events.push_back({"worker.lost",
                         {{"name", session->name},
                          {"why", std::string{why}},
                          {"in_flight", std::to_string(session->calls.in_flight())},
                          {"held", std::to_string(session->calls.held())}},
                         how != Departure::goodbye});
  if (how != Departure::goodbye) roster_.depart(std::move(session));
}

// A session that said three times what cannot be true is over, and its process is not heard for a
// while: there is a fault in it, or somebody in its place.
SessionNews Sessions::strike(SessionId id, const std::string& what, Time now) {
  SessionNews news;
  Session& session = *roster_.find(id);
  news.events.push_back({"worker.forged", {{"name", session.name}, {"what", what}}, true});
  if (!session.strike(now)) return news;
  const PeerId peer = session.peer;
  std::erase_if(unheard_, [now](const auto& other) { return other.second <= now; });
  unheard_[session.process] = now + defaults::strike_window;
  lose_into(news, id, Departure::lost, "it said what cannot be true, again and again");
  news.frames.push_back(
      refusal(peer, {RefusedCode::no_session, "this worker said what cannot be true: " + what}));
  return news;
}

SessionNews Sessions::resync(const Session& session, std::string sentence) const {
  SessionNews news;
  news.frames.push_back(refusal(session.peer, {RefusedCode::resync, std::move(sentence)}));
  news.events.push_back({"worker.resync", {{"name", session.name}}, true});
  return news;
}

SessionNews Sessions::relieve(SessionId id, const WaitReason& reason, Time now) {
  SessionNews news;
  Session& session = *roster_.find(id);
  const auto calls = let_rest(news, session, Trial::until_it_serves, now);
  news.events.push_back(
      {"worker.relieved",
       {{"name", session.name},
        {"calls", std::to_string(calls.size())},
        {"endpoint", reason.endpoint},
        {"why", std::string{words_of(reason)} + "; the calls that it holds go to other workers, "
                                                "and it tries one at a time"}}});
  session.say_cancelled(calls, now);
  return news;
}

Sessions::Drained Sessions::drain(const std::string& worker, Time now) {
  Drained out;
  for (const auto& [id, session] : roster_.sessions()) {
    if (session->name != worker && to_string(id) != worker) continue;
    if (!session->told_to_drain) session->say(Drain{}, now);
    session->told_to_drain = session->draining = true;
    out.workers.push_back(session->view());
  }
  return out;
}

SessionNews Sessions::tick(Time now) {
  SessionNews news;
  for (const auto& [id, session] : roster_.sessions()) session->measure(now);
  watch_silence(news, now);
  for (const auto& [id, session] : roster_.sessions()) watch_calls(news, *session, now);
  return news;
}

void Sessions::watch_silence(SessionNews& news, Time now) {
  struct Gone {
    SessionId id;
    Departure how;
    std::string_view why;
  };
  std::vector<Gone> gone;
  for (const auto& [id, session] : roster_.sessions()) {
    const Duration silent = now - session->last_heard;
    // Only a frame that cannot be sent shows that a connection is closed.
    if (silent > defaults::heartbeat + defaults::heartbeat / 2 &&
        now - session->last_sent >= defaults::heartbeat / 2)
      session->say(Recorded{}, now);
    if (session->state == SessionState::closed) {
      if (now - session->closed_at >= defaults::closed_lost && !mutated("no_lease_expiry"))
        gone.push_back({id, Departure::died, "its connection closed and no Hello came"});
    } else if (silent >= defaults::silent_lost && !mutated("silence_is_no_loss")) {
      gone.push_back({id, Departure::lost, "silent on an open connection"});
    } else if (silent >= defaults::silent_suspect && session->state == SessionState::active) {
      session->state = SessionState::suspect;
      news.events.push_back({"worker.suspect", {{"name", session->name}}, true});
    }
  }
  for (const Gone& g : gone) lose_into(news, g.id, g.how, g.why);
}

// Calls that a live worker does not end, or does not begin, go to others.
void Sessions::watch_calls(SessionNews& news, Session& session, Time now) const {
  if (session.state == SessionState::greeted) return; // it says nothing before its Welcome
  std::vector<CallId> cancelled;
  for (Released& released : session.calls.give_up_overdue(now)) {
    cancelled.push_back(released.call);
    news.given_up.push_back(
        {std::move(released.assigned), {.call = released.call, .permitted = true}});
  }
  const auto rest = [&](Trial trial) {
    const auto held = let_rest(news, session, trial, now + defaults::held_idle);
    cancelled.insert(cancelled.end(), held.begin(), held.end());
    return held.size();
  };
  if (!cancelled.empty()) {
    news.events.push_back({"worker.overdue",
                           {{"name", session.name},
                            {"calls", std::to_string(cancelled.size())},
                            {"why", "their timeouts are over and it has not said how they "
                                    "ended; they are made elsewhere"}},
                           true});
    if (!mutated("hung_is_fed")) rest(Trial::until_it_answers);
  } else if (session.is_idle(now) && !mutated("held_without_end")) {
    const std::size_t held = rest(Trial::until_it_asks);
    news.events.push_back({"worker.idle",
                           {{"name", session.name},
                            {"calls", std::to_string(held)},
                            {"why", "it has room and asks for none of the calls that it holds; "
                                    "they go elsewhere"}},
                           true});
  }
  session.say_cancelled(cancelled, now);
}

SessionNews Sessions::job_failed(JobId job) const {
  SessionNews news;
  for (const auto& [id, session] : roster_.sessions())
    if (!session->peer.empty() && session->jobs.has_met(job))
      news.frames.push_back(
          refusal(session->peer, {RefusedCode::resync, to_string(job) + " has failed"}));
  return news;
}

const Session* Sessions::with(CallId call) const {
  for (const auto& [id, session] : roster_.sessions())
    if (session->calls.find(call) != nullptr) return session.get();
  return nullptr;
}

std::vector<WorkerView> Sessions::workers() const {
  std::vector<WorkerView> views;
  for (const auto& [id, session] : roster_.sessions()) views.push_back(session->view());
  return views;
}

std::map<EndpointId, std::string> Sessions::announcers() const {
  std::map<EndpointId, std::string> names;
  for (const auto& [id, session] : roster_.sessions())
    for (const EndpointId endpoint : session->endpoints) names[endpoint] = session->name;
  return names;
}

std::optional<std::uint64_t> Sessions::first_out(JobId job) const {
  std::optional<std::uint64_t> first;
  if (roster_.in_flight(job) == 0) return first;
  for (const auto& [id, session] : roster_.sessions())
    for (const auto& [call, assigned] : session->calls)
      if (assigned.job == job && assigned.attempt && !assigned.given_up)
        for (const PartId& part : assigned.parts)
          first = std::min(first.value_or(part.item), part.item);
  return first;
}

void Sessions::measure(Sizes& sizes) const {
  sizes["coordinator.sessions"] = roster_.size();
  sizes["coordinator.peers"] = roster_.peers();
  sizes["coordinator.voices"] = roster_.voices().size();
  sizes["coordinator.sessions expected"] = earlier_.expected();
  for (const auto& [id, session] : roster_.sessions()) {
    sizes["session.calls"] += session->calls.size();
    sizes["session.jobs"] += session->jobs.size();
  }
}

std::vector<OutgoingFrame> Sessions::leave() {
  std::vector<OutgoingFrame> frames;
  for (const SessionId id : roster_.voices().take_speaking()) {
    Session* session = roster_.find(id);
    if (session == nullptr) continue;
    for (OutgoingFrame& frame : session->leave()) frames.push_back(std::move(frame));
  }
  return frames;
}

void Sessions::speak(Time now) {
  for (const SessionId id : roster_.voices().take_waiting(now)) {
    const Session* session = roster_.find(id);
    if (session != nullptr && session->leaves_by() <= now) roster_.voices().speaks(id);
  }
}

OutgoingFrame Sessions::refusal(const PeerId& peer, Refused refused) const {
  Frame frame;
  frame.epoch = epoch_;
  frame.messages.emplace_back(std::move(refused));
  return {peer, encode(frame)};
}

} // namespace gristmill::coordinator
