// WORKER and its calls: Needs, permits and their life, waits, cancels.
#include "tests/unit/actors/worker/worker_harness.hpp"

#include "actors/kit/defaults.hpp"

namespace worker_calls_test {

using namespace gristmill;
using namespace gristmill::worker_test;

TEST_CASE("A permitted call is started at its endpoint, within its permit's life", "[worker]") {
  Scene scene;
  scene.spec.policy.timeout_ms = 5'000;
  scene.spec.policy.connect_timeout_ms = 700;
  scene.connect();
  const Time asked = scene.now;
  const Need need = scene.give({1}).only<Need>();
  scene.now += milliseconds{100};
  const auto turn = scene.permit(need.nonce, {1});
  REQUIRE(turn.effects.starts.size() == 1);
  const worker::HttpCall& call = turn.effects.starts.front();
  CHECK(call.attempt == attempt(1));
  CHECK(call.url == "http://h/v1/chat/completions");
  CHECK(call.body == R"({"model":"m","messages":[{"role":"user","content":"text 1"}]})");
  CHECK(call.api_key_env == "KEY");
  CHECK(call.timeout == seconds{5});
  CHECK(call.connect_timeout == milliseconds{700});
  // The life counts from when the Need was sent, not from when the permit came.
  CHECK(call.not_after == asked + milliseconds{250});
  CHECK(scene.room.in_flight() == 1);
}

TEST_CASE("A permit of an announced endpoint uses what the worker knows of it", "[worker]") {
  auto options = plain_options();
  options.endpoints.push_back({"gpu-model", {"http://gpu/v1", "", "/key", 0, 0, 0}});
  Scene scene{options};
  scene.spec.shape.models.clear();
  scene.welcome.endpoints = {EndpointId{70}};
  scene.connect();
  const Nonce nonce = scene.give({1}).only<Need>().nonce;
  const auto turn = scene.tell(Permits{nonce, {{CallId{1}, attempt(1), EndpointId{70}, 0}}});
  REQUIRE(turn.effects.starts.size() == 1);
  CHECK(turn.effects.starts.front().url == "http://gpu/v1/chat/completions");
  CHECK(turn.effects.starts.front().api_key_file == "/key");
  CHECK(turn.effects.starts.front().body.find("gpu-model") != std::string::npos);
}

TEST_CASE("A call asks for the model that it was planned for, else for its pool's", "[worker]") {
  const auto [job, planned, asked] = GENERATE(table<std::string, std::string, std::string>({
      {"of-job", "", "of-job"},
      {"of-job", "planned", "planned"},
      {"", "planned", "planned"},
      {"", "", "of-pool"},
  }));
  Scene scene;
  scene.spec.shape.models = ModelNames::of(job);
  scene.connect();
  JobOpened opened{JobId{1}, to_json(scene.spec), {}};
  opened.endpoints.push_back({endpoint, {"http://h/v1", "", "", 0, 0, 0}, "of-pool"});
  scene.tell(opened);
  Batch batch;
  batch.calls.push_back({CallId{1}, {{{JobId{1}, 1, 0}, ItemKind::text, "text"}}, planned});
  const Nonce nonce = scene.tell(batch).only<Need>().nonce;
  const auto turn = scene.permit(nonce, {1});
  REQUIRE(turn.effects.starts.size() == 1);
  CHECK_THAT(turn.effects.starts.front().body, Catch::Contains("\"model\":\"" + asked + "\""));
}

TEST_CASE("One Need asks for all that could start, never for more than the capacity", "[worker]") {
  Scene scene{plain_options(4)};
  scene.connect();
  const Need first = scene.give({1, 2, 3, 4, 5, 6, 7, 8}).only<Need>();
  CHECK(first.calls == ids({1, 2, 3, 4}));
  CHECK_FALSE(scene.give({9}).has<Need>()); // all four places are asked for
  CHECK(scene.permit(first.nonce, {1, 2}).effects.starts.size() == 2);
  CHECK_FALSE(scene.tick_after(milliseconds{1}).has<Need>());
  // Two ends at one event leave room for two calls: one Need.
  const auto turn = scene.end({Scene::answered(1), Scene::answered(2)});
  const Need second = turn.only<Need>();
  CHECK(second.calls == ids({5, 6}));
  CHECK(second.nonce != first.nonce);
}

TEST_CASE("Whatever happens, no more than the capacity is in flight and asked for", "[worker]") {
  Scene scene{plain_options(5)};
  scene.welcome.outcome_window_bytes = 1u << 30;
  scene.connect();
  std::vector<CallId> all;
  for (std::uint64_t call = 1; call <= 60; ++call) all.push_back(CallId{call});
  std::uint64_t seed = GENERATE(1, 2, 3), answered = 0;
  const auto below = [&seed](std::uint64_t n) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % n;
  };
  std::vector<Need> open;
  std::vector<std::uint64_t> flying;
  const auto note = [&](const Turn& turn) {
    for (const Need& need : turn.all<Need>()) open.push_back(need);
    for (const auto& call : turn.effects.starts) flying.push_back(call.attempt.n());
    REQUIRE(scene.room.in_flight() == flying.size());
    std::size_t asked = 0;
    for (const Need& need : open) asked += need.calls.size();
    REQUIRE(flying.size() + asked <= 5);
  };
  note(scene.give(all));
  while (answered < 60) {
    if (!open.empty() && below(2) == 0) {
      // Some of a Need are permitted, the rest are told to wait.
      const Need need = open.front();
      open.erase(open.begin());
      Permits permits{need.nonce, {}};
      Wait wait{need.nonce, {}, 10};
      for (const CallId call : need.calls) {
        if (below(3) == 0)
          wait.calls.push_back(call);
        else
          permits.permits.push_back({call, attempt(call.value), endpoint, 250});
      }
      // Between the two answers the Need is half open.
      const auto half = scene.tell(permits);
      for (const Need& more : half.all<Need>()) open.push_back(more);
      for (const auto& call : half.effects.starts) flying.push_back(call.attempt.n());
      note(scene.tell(wait));
    } else if (!flying.empty()) {
      const std::uint64_t call = flying.back();
      flying.pop_back();
      ++answered;
      note(scene.answer(call));
    } else {
      note(scene.tick_after(milliseconds{10}));
    }
  }
  CHECK(scene.room.unrecorded() == 60);
}

TEST_CASE("A permit older than its life comes back and its call is still held", "[worker]") {
  Scene scene;
  scene.connect();
  const Nonce nonce = scene.give({1, 2}).only<Need>().nonce;
  scene.now += milliseconds{250};
  const auto turn = scene.permit(nonce, {1});
  CHECK(turn.effects.starts.empty());
  const auto returned = turn.only<Returned>();
  CHECK(returned.keeps_calls);
  CHECK(returned.too_late);
  CHECK(returned.calls == std::vector<Returned::Entry>{{CallId{1}, attempt(1)}});
  CHECK(turn.only<Need>().calls == ids({1})); // asked for again at once
  CHECK(scene.permit(nonce, {2}).only<Returned>().keeps_calls);
}

TEST_CASE("A permit whose Need nobody remembers is as old as can be, unless it never ages",
          "[worker]") {
  Scene scene;
  scene.connect();
  const Nonce nonce = scene.give({1, 2}).only<Need>().nonce;
  const Nonce unknown{nonce.value + 100};
  CHECK(scene.permit(unknown, {1}, 250).has<Returned>());
  const auto turn = scene.permit(unknown, {2}, 0);
  REQUIRE(turn.effects.starts.size() == 1);
  CHECK(turn.effects.starts.front().not_after == never);
}

TEST_CASE("A permit without a life starts its call however late it comes", "[worker]") {
  Scene scene;
  scene.connect();
  const Nonce nonce = scene.give({1}).only<Need>().nonce;
  scene.now += seconds{60};
  const auto turn = scene.permit(nonce, {1}, 0);
  REQUIRE(turn.effects.starts.size() == 1);
  CHECK(turn.effects.starts.front().not_after == never);
}

TEST_CASE("A permit for a call that is gone comes back without it, in time or late", "[worker]") {
  const Duration later = GENERATE(Duration{}, Duration{seconds{1}});
  Scene scene;
  scene.connect();
  const Nonce nonce = scene.give({1}).only<Need>().nonce;
  scene.tell(Cancel{ids({1})});
  scene.now += later;
  const auto turn = scene.permit(nonce, {1});
  CHECK(turn.effects.starts.empty());
  const auto returned = turn.only<Returned>();
  CHECK_FALSE(returned.keeps_calls);
  CHECK(returned.calls == std::vector<Returned::Entry>{{CallId{1}, attempt(1)}});
}

TEST_CASE("A permit for an unknown endpoint comes back with its call", "[worker]") {
  Scene scene;
  scene.connect();
  const Nonce nonce = scene.give({1}).only<Need>().nonce;
  const auto turn = scene.tell(Permits{nonce, {{CallId{1}, attempt(1), EndpointId{999}, 0}}});
  CHECK(turn.effects.starts.empty());
  CHECK_FALSE(turn.only<Returned>().keeps_calls);
  CHECK_FALSE(turn.has<Need>());
}

TEST_CASE("A call that was never sent is returned, not reported", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  const auto turn = scene.end(1, CallEnd::unstarted);
  const auto returned = turn.only<Returned>();
  CHECK_FALSE(returned.keeps_calls);
  CHECK(returned.calls == std::vector<Returned::Entry>{{CallId{1}, attempt(1)}});
  CHECK_FALSE(turn.has<Outcomes>());
  CHECK(scene.room.in_flight() == 1);
  CHECK(scene.room.unrecorded() == 0);
  CHECK_FALSE(returned.too_late);
  CHECK(scene.end(1, CallEnd::unstarted).frames.empty()); // it has ended once
  // The coordinator learns when it was the permit's age that kept a call here.
  CHECK(scene.end(2, CallEnd::too_late).only<Returned>().too_late);
}

TEST_CASE("A call that ends lets one that waits be asked for before its time", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  const Nonce nonce = scene.give({2, 3, 4}).only<Need>().nonce;
  scene.tell(Wait{nonce, ids({3}), 200});
  scene.tell(Wait{nonce, ids({2, 4}), 300});
  CHECK(scene.answer(1).only<Need>().calls == ids({3}));
  CHECK(scene.tick_after(milliseconds{300}).only<Need>().calls == ids({2, 4}));
}

TEST_CASE("A Wait delays the next Need for its calls, not for others", "[worker]") {
  Scene scene;
  scene.connect();
  const Nonce nonce = scene.give({1, 2}).only<Need>().nonce;
  const auto turn = scene.tell(Wait{nonce, ids({1, 2}), 300});
  CHECK(turn.frames.empty());
  CHECK(scene.room.wake_at() == scene.now + milliseconds{300});
  CHECK(scene.give({3}).only<Need>().calls == ids({3}));
  CHECK_FALSE(scene.tick_after(milliseconds{299}).has<Need>());
  CHECK(scene.tick_after(milliseconds{1}).only<Need>().calls == ids({1, 2}));
}

TEST_CASE("A Need that nobody answers is said again under a new nonce", "[worker]") {
  Scene scene;
  scene.connect();
  const Need first = scene.give({1, 2}).only<Need>();
  CHECK(scene.room.wake_at() == scene.now + defaults::need_repeat);
  CHECK_FALSE(scene.tick_after(defaults::need_repeat - milliseconds{1}).has<Need>());
  const Need second = scene.tick_after(milliseconds{1}).only<Need>();
  CHECK(second.calls == first.calls);
  CHECK(second.nonce != first.nonce);
  // The late answer to the first is an answer to nothing that is remembered.
  CHECK(scene.permit(first.nonce, {1}).has<Returned>());
  CHECK(scene.permit(second.nonce, {2}).effects.starts.size() == 1);
}

TEST_CASE("A cancelled call is dropped when held and aborted when in flight", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  scene.give({3, 4, 5});
  const auto turn = scene.tell(Cancel{ids({2, 3, 5, 99})});
  CHECK(turn.effects.aborts == std::vector<AttemptId>{attempt(2)});
  const Outcome outcome = outcome_of(scene.end(2, CallEnd::aborted));
  CHECK(outcome.cls == OutcomeClass::cancelled);
  CHECK(outcome.call == CallId{2});
  scene.link_down();
  CHECK(scene.link_up().only<Hello>().held == ids({4}));
}

} // namespace worker_calls_test
