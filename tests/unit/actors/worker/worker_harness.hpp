// What the tests of WORKER share: the room on a clock of their own, with a coordinator that says
// what a test tells it to and reads every frame that the worker sends. Invariant: each frame of the
// worker is decoded and heard by the grammar, so no test passes with one that breaks it.
#pragma once

#include "actors/worker/worker.hpp"
#include "protocol/node/codec.hpp"
#include "protocol/node/grammar.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace gristmill::worker_test {

using namespace gristmill::protocol;
using std::chrono::milliseconds;
using std::chrono::seconds;
using worker::CallEnd;
using worker::CallEnded;

inline constexpr Epoch epoch{3};
inline constexpr EndpointId endpoint{7};

inline AttemptId attempt(std::uint64_t n) {
  return AttemptId::of(epoch, 1, n);
}

inline std::vector<CallId> ids(std::initializer_list<std::uint64_t> numbers) {
  std::vector<CallId> calls;
  for (const auto number : numbers) calls.push_back(CallId{number});
  return calls;
}

// What the worker said and did at one event.
struct Turn {
  std::vector<Frame> frames;
  worker::Effects effects; // without the frames

  template <class M> std::vector<M> all() const {
    std::vector<M> found;
    for (const Frame& frame : frames)
      for (const Message& said : frame.messages)
        if (const auto* message = std::get_if<M>(&said)) found.push_back(*message);
    return found;
  }
  template <class M> M only() const {
    const auto found = all<M>();
    REQUIRE(found.size() == 1);
    return found.front();
  }
  template <class M> bool has() const { return !all<M>().empty(); }
};

// One outcome, of the only frame of outcomes.
inline Outcome outcome_of(const Turn& turn) {
  const auto outcomes = turn.only<Outcomes>().outcomes;
  REQUIRE(outcomes.size() == 1);
  return outcomes.front();
}

inline worker::Options plain_options(std::uint32_t calls = 4) {
  worker::Options options;
  options.cluster = "c";
  options.name = "w";
  options.process = Nonce{99};
  options.capacity = {calls, 1u << 20};
  options.drain_timeout = seconds{25};
  options.ask_ahead = {};
  options.keys = worker::KeyRules::of_the_user();
  return options;
}

class Scene {
public:
  explicit Scene(worker::Options options = plain_options()) : room{std::move(options)} {}

  worker::Worker room;
  Time now = time_from_ns(1'000'000'000'000);
  std::int64_t unix_now = 1'700'000'000;
  Welcome welcome = [] {
    Welcome plain;
    plain.outcome_window_bytes = 1u << 20;
    return plain;
  }();

  // ---- the coordinator's side

  Turn tell(Message message) {
    return tell_raw({{version_max, epoch, session_, ++seq_, 0}, {std::move(message)}});
  }
  Turn tell_raw(const Frame& frame) { return turn(room.received(encode(frame), now)); }
  Turn refuse(RefusedCode code) {
    return tell_raw({{version_max, epoch, {}, 0, 0}, {Refused{code, "a sentence"}}});
  }
  // Begins a new session: the worker has said Hello.
  Turn greet() {
    session_.value += 1;
    seq_ = 0;
    grammar_.begin(session_);
    return tell(welcome);
  }
  void connect() {
    link_up();
    greet();
  }

  // Opens the job, once in a session, and gives it calls of these numbers.
  Turn give(const std::vector<CallId>& calls) {
    JobOpened opened;
    opened.job = JobId{1};
    opened.spec = to_json(spec);
    opened.by_reference = by_reference;
    EndpointEntry entry{
        endpoint, {"http://h/v1", "KEY", "", 0, 0, 0}, metrics_url.empty() ? "" : pool};
    entry.endpoint.metrics_url = metrics_url;
    opened.endpoints.push_back(std::move(entry));
    tell(std::move(opened));
    Batch batch;
    for (const CallId call : calls)
      batch.calls.push_back(
          {call,
           {{{JobId{1}, call.value, 0}, ItemKind::text, fmt::format("text {}", call.value)}},
           {}});
    return tell(std::move(batch));
  }
  Turn give(std::initializer_list<std::uint64_t> calls) { return give(ids(calls)); }
  // Permits of call n as attempt n.
  Turn permit(Nonce nonce, std::initializer_list<std::uint64_t> calls,
              std::uint32_t life_ms = 250) {
    Permits permits;
    permits.nonce = nonce;
    for (const auto call : calls)
      permits.permits.push_back({CallId{call}, attempt(call), endpoint, life_ms});
    return tell(std::move(permits));
  }
  // The calls are given, asked for and permitted.
  void fly(std::initializer_list<std::uint64_t> calls) {
    const Nonce nonce = give(calls).only<Need>().nonce;
    REQUIRE(permit(nonce, calls).effects.starts.size() == calls.size());
  }

  // ---- the other events

  Turn link_up() { return turn(room.link_up(now)); }
  Turn link_down() { return turn(room.link_down("cut", now)); }
  Turn drain() { return turn(room.drain(now)); }
  Turn tick() {
    Turn ticked = turn(room.tick(now));
    // A room that wants to be woken for what it has just seen to would never sleep again.
    REQUIRE(room.wake_at() > now);
    return ticked;
  }
  Turn tick_after(Duration time) {
    now += time;
    return tick();
  }
  Turn end(std::vector<CallEnded> calls) {
    return turn(room.ended(std::move(calls), unix_now, now));
  }
  Turn end(std::uint64_t call, CallEnd how, std::string code = "") {
    CallEnded ended;
    ended.attempt = attempt(call);
    ended.end = how;
    ended.code = std::move(code);
    return end({ended});
  }
  Turn answer(std::uint64_t call) { return end({answered(call)}); }
  static CallEnded answered(std::uint64_t call, const std::string& content = "hi") {
    CallEnded ended;
    ended.attempt = attempt(call);
    ended.end = CallEnd::answered;
    ended.http_status = 200;
    ended.body = fmt::format(R"({{"choices":[{{"message":{{"content":"{}"}}}}]}})", content);
    return ended;
  }

  JobSpec spec = [] {
    JobSpec plain;
    plain.shape.models = {"m"};
    return plain;
  }();
  bool by_reference = false;
  std::string metrics_url; // of the endpoint
  std::string pool = "m";  // of the endpoint with such a page; empty = the job's own
  SessionId session() const { return session_; }
  Turn turn_of(worker::Effects effects) { return turn(std::move(effects)); }

private:
  Turn turn(worker::Effects effects) {
    Turn turn;
    for (const std::string& bytes : effects.frames) {
      const auto frame = decode(bytes, Direction::from_worker);
      REQUIRE(frame);
      const Heard heard = grammar_.hear(*frame);
      INFO(name_of(frame->messages[0]) << ": " << heard.sentence);
      REQUIRE(heard.verdict == Verdict::ok);
      turn.frames.push_back(*frame);
    }
    turn.effects = std::move(effects);
    return turn;
  }

  SessionId session_{std::uint64_t{epoch.value} << 32};
  std::uint64_t seq_ = 0;
  Grammar grammar_{Direction::from_worker, epoch};
};

} // namespace gristmill::worker_test
