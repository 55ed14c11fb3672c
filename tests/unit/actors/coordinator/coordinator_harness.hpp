// What the tests of the coordinator share: a coordinator, workers that speak frames to it, and what
// left for each recipient since one looked last.
#pragma once

#include "actors/coordinator/coordinator.hpp"
#include "actors/kit/defaults.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/codec.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <optional>
#include <set>

namespace gristmill::coordinator_test {

using namespace std::chrono_literals;

inline constexpr Epoch epoch{3};

// A worker's side of one connection.
struct Speaker {
  std::string peer = "peer-1", user = "user";
  protocol::Hello hello;
  SessionId session;
  std::uint64_t seq = 0, heard = 0;

  explicit Speaker(std::uint64_t process = 1, std::uint32_t calls = 4) {
    peer = fmt::format("peer-{}", process);
    hello.name = fmt::format("worker-{}", process);
    hello.process = Nonce{process};
    hello.capacity = {calls, 64u << 20};
  }
};

// A job that any worker can make the calls of.
inline JobSpec with_endpoint() {
  JobSpec spec;
  spec.endpoints.emplace_back().url = "http://own";
  return spec;
}

class Bench {
public:
  explicit Bench(coordinator::Options options = {epoch, "", {}})
      : coordinator{std::move(options), time_from_ns(0) + 1h} {}

  Time now = time_from_ns(0) + 1h;
  coordinator::Coordinator coordinator;
  coordinator::Effects seen;                                   // all but the frames, since take()
  std::set<SessionId> closed_sessions;                         // of all time
  std::vector<std::pair<std::string, protocol::Frame>> frames; // for each message one

  void hear(coordinator::Effects effects) {
    if (!coordinator.sessions().invariant()) FAIL("sessions count what they do not list");
    for (const auto& out : effects.frames) {
      auto frame = protocol::decode(out.bytes, protocol::Direction::from_coordinator);
      REQUIRE(frame);
      for (protocol::Message& message : frame->messages)
        frames.emplace_back(out.peer, protocol::Frame{*frame, {std::move(message)}});
    }
    const auto add = [](auto& into, auto& from) {
      std::move(from.begin(), from.end(), std::back_inserter(into));
    };
    add(seen.acquires, effects.acquires);
    add(seen.ended, effects.ended);
    add(seen.claimed, effects.claimed);
    add(seen.queues, effects.queues);
    add(seen.endpoints_added, effects.endpoints_added);
    add(seen.endpoints_gone, effects.endpoints_gone);
    for (const auto& session : effects.sessions)
      if (!session.open) closed_sessions.insert(session.session);
    add(seen.sessions, effects.sessions);
    add(seen.events, effects.events);
    for (const auto& [job, cost] : effects.charged) seen.charged[job] += cost;
    if (effects.earlier_lives_told) seen.earlier_lives_told = effects.earlier_lives_told;
    for (auto& [job, news] : effects.jobs) {
      auto& all = seen.jobs[job];
      add(all.outcomes, news.outcomes);
      add(all.returned, news.returned);
      add(all.lost, news.lost);
      add(all.claims, news.claims);
      add(all.kept, news.kept);
      all.grace_over |= news.grace_over;
      all.untold_calls += news.untold_calls;
      all.charged += news.charged;
      add(all.room, news.room);
    }
  }
  coordinator::Effects take() { return std::exchange(seen, {}); }
  JobNews take_news(std::uint32_t job = 7) { return std::exchange(seen.jobs[JobId{job}], {}); }

  // ---- a worker speaks ------------------------------------------------------------------------
  void raw(const Speaker& worker, const protocol::Frame& frame) {
    hear(coordinator.received({{worker.peer, worker.user, protocol::encode(frame)}}, now));
  }
  void say(Speaker& worker, protocol::Message message) {
    protocol::Frame frame;
    frame.epoch = epoch;
    frame.session = worker.session;
    frame.seq = ++worker.seq;
    frame.ack = worker.heard;
    frame.messages.push_back(std::move(message));
    raw(worker, frame);
  }
  void say_hello(Speaker& worker) {
    protocol::Frame frame;
    frame.epoch = epoch;
    frame.messages.emplace_back(worker.hello);
    worker.seq = worker.heard = 0;
    raw(worker, frame);
  }
  // Hello, durable session, Welcome.
  protocol::Welcome join(Speaker& worker) {
    say_hello(worker);
    for (const auto& session : seen.sessions)
      if (session.open) worker.session = session.session;
    seen.sessions.clear();
    hear(coordinator.session_durable(worker.session, now));
    const auto welcomes = take_messages<protocol::Welcome>(worker);
    REQUIRE(welcomes.size() == 1);
    return welcomes.front();
  }
  void need(Speaker& worker, const std::vector<CallId>& calls) {
    say(worker, protocol::Need{Nonce{1}, calls});
  }
  void beat(Speaker& worker, std::uint32_t in_flight, std::uint32_t held) {
    protocol::Heartbeat beat;
    beat.capacity = worker.hello.capacity;
    beat.in_flight = in_flight;
    beat.held = held;
    say(worker, beat);
  }

  // It is heard so long after now.
  void lives(Speaker& worker, Duration time = defaults::death_counts_after) {
    now += time;
    beat(worker, 0, 0);
  }

  // What the worker was told of this kind, once; its ack follows.
  template <class M> std::vector<M> take_messages(Speaker& worker) {
    // By then what was said aside has left, too.
    hear(coordinator.speak(now + defaults::aside_most));
    std::vector<M> taken;
    std::erase_if(frames, [&](auto& out) {
      if (out.first != worker.peer) return false;
      worker.heard = std::max(worker.heard, out.second.seq);
      const auto* message = std::get_if<M>(&out.second.messages[0]);
      if (message) taken.push_back(*message);
      return message != nullptr;
    });
    return taken;
  }
  std::vector<CallId> take_batch(Speaker& worker) {
    std::vector<CallId> calls;
    for (const auto& batch : take_messages<protocol::Batch>(worker))
      for (const auto& call : batch.calls) calls.push_back(call.call);
    return calls;
  }

  // ---- other rooms speak ------------------------------------------------------------------------
  std::vector<EndpointId> open_job(std::uint32_t job = 7, JobSpec spec = with_endpoint(),
                                   coordinator::EarlierLives earlier = {}) {
    std::vector<EndpointId> endpoints;
    hear(coordinator.job_opened(JobId{job}, spec, endpoints, now, earlier));
    return endpoints;
  }
  std::string model{};      // of the calls that are offered
  std::uint32_t stream = 0; // … and theirs
  void offer(std::uint64_t first, std::uint64_t last, std::uint32_t job = 7,
             std::size_t bytes = 100) {
    std::vector<OfferedCall> calls;
    for (std::uint64_t call = first; call <= last; ++call) {
      OfferedCall offered;
      offered.planned.call = CallId{call};
      offered.planned.parts = {{{JobId{job}, call, PartNumber{stream}.value()},
                                ItemKind::batch_line,
                                std::string(bytes, 'x')}};
      offered.planned.model = model;
      offered.token_bound = 10 * call;
      calls.push_back(std::move(offered));
    }
    hear(coordinator.offered(JobId{job}, std::move(calls), now));
  }
  static AttemptId attempt_of(std::uint64_t call) { return AttemptId::of(epoch, 1, call); }
  void grant(const Speaker& worker, const std::vector<CallId>& calls) {
    Granted granted{worker.session, Nonce{1}, {}, {}};
    for (const CallId call : calls)
      granted.permits.push_back({call, attempt_of(call.value), EndpointId{1}, 250});
    hear(coordinator.granted(granted, now));
  }
  void tick_at(Time at) {
    now = at;
    hear(coordinator.tick(now));
  }
};

inline std::vector<CallId> ids(std::initializer_list<std::uint64_t> values) {
  std::vector<CallId> calls;
  for (const std::uint64_t value : values) calls.push_back(CallId{value});
  return calls;
}
inline std::vector<CallId> ids_between(std::uint64_t first, std::uint64_t last) {
  std::vector<CallId> calls;
  for (std::uint64_t value = first; value <= last; ++value) calls.push_back(CallId{value});
  return calls;
}

// That a job is asked for, of this stream or of all.
inline StreamRoom room_of(const JobNews& news, std::optional<std::uint32_t> stream = {}) {
  StreamRoom all{stream.value_or(0), 0, 0};
  for (const StreamRoom& room : news.room) {
    if (stream && room.stream != *stream) continue;
    all.calls += room.calls;
    all.bytes += room.bytes;
  }
  return all;
}

inline protocol::Outcome outcome_of(std::uint64_t call, std::uint32_t job = 7, Epoch of = epoch) {
  protocol::Outcome outcome;
  outcome.call = CallId{call};
  outcome.attempt = AttemptId::of(of, 1, call);
  outcome.parts = {{JobId{job}, call, 0}};
  outcome.endpoint = EndpointId{1};
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  return outcome;
}
inline protocol::Claim claim_of(std::uint64_t call, std::uint32_t job = 7, Epoch of = epoch) {
  return {CallId{call}, AttemptId::of(of, 1, call), {{JobId{job}, call, 0}}, EndpointId{1}};
}

// A coordinator that began anew while the session of worker 1 was open in its journal, and what
// that worker was given in the life before.
inline constexpr Epoch before{2};
inline coordinator::Options restarted() {
  return {epoch, "", {{SessionId{11}, "worker-1", Nonce{1}, true}}};
}
inline constexpr coordinator::EarlierLives may_have_called{10, {}}; // items below 10

} // namespace gristmill::coordinator_test
