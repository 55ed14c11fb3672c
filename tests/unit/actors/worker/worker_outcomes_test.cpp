// WORKER and what its calls brought: outcomes, the outbox, its window.
#include "tests/unit/actors/worker/worker_harness.hpp"

namespace worker_outcomes_test {

using namespace gristmill;
using namespace gristmill::worker_test;

TEST_CASE("An outcome says what the call was and what came of it", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1});
  auto ended = Scene::answered(1);
  ended.latency_us = 1'234;
  ended.headers = {{"x-request-id", "r"}};
  const Outcome outcome = outcome_of(scene.end({ended}));
  CHECK(outcome.call == CallId{1});
  CHECK(outcome.attempt == attempt(1));
  CHECK(outcome.parts == std::vector<PartId>{{JobId{1}, 1, 0}});
  CHECK(outcome.endpoint == endpoint);
  CHECK(outcome.cls == OutcomeClass::ok);
  CHECK(outcome.http_status == 200);
  CHECK(outcome.latency_us == 1'234);
  CHECK(outcome.request_id == "r");
  CHECK(outcome.model == "m"); // as asked: the answer names none
  CHECK(outcome.body == ended.body);
}

TEST_CASE("A date in an answer is measured against the time at which it came", "[worker]") {
  Scene scene;
  scene.unix_now = 1'700'000'000; // Tue, 14 Nov 2023 22:13:20 GMT
  scene.connect();
  scene.fly({1});
  auto ended = Scene::answered(1);
  ended.http_status = 429;
  ended.headers = {{"retry-after", "Tue, 14 Nov 2023 22:13:22 GMT"},
                   {"x-ratelimit-reset-requests", "2023-11-14T22:13:23Z"},
                   {"x-ratelimit-reset-tokens", "1700000004"}};
  const Outcome outcome = outcome_of(scene.end({ended}));
  CHECK(outcome.retry_after_ms == 2'000);
  REQUIRE(outcome.limits.size() == 2);
  CHECK(outcome.limits[0].reset_ms == 3'000);
  CHECK(outcome.limits[1].reset_ms == 4'000);
}

TEST_CASE("An answer is held against what its call asked for", "[worker]") {
  Scene scene;
  scene.connect();
  Batch batch;
  batch.calls.push_back({CallId{1},
                         {{{JobId{1}, 1, 0},
                           ItemKind::batch_line,
                           R"({"custom_id":"a","method":"POST","url":"/v1/embeddings",)"
                           R"("body":{"model":"m","input":["a","b","c"]}})"}},
                         {}});
  scene.give({});
  const Nonce nonce = scene.tell(std::move(batch)).only<Need>().nonce;
  scene.permit(nonce, {1});
  auto ended = Scene::answered(1);
  ended.body = R"({"data":[{"index":0,"embedding":[0.5]}]})";
  const Outcome outcome = outcome_of(scene.end({ended}));
  CHECK(outcome.cls == OutcomeClass::malformed);
  CHECK(outcome.code == "wrong_count");
}

TEST_CASE("A call without an answer gets the class of its end", "[worker]") {
  struct Row {
    CallEnd end;
    std::string code;
    OutcomeClass cls;
  };
  const auto row = GENERATE(Row{CallEnd::failed, "connect_refused", OutcomeClass::unreachable},
                            Row{CallEnd::timed_out, "connect_timeout", OutcomeClass::unreachable},
                            Row{CallEnd::failed, "resolve", OutcomeClass::unreachable},
                            Row{CallEnd::failed, "tls", OutcomeClass::unreachable},
                            Row{CallEnd::failed, "connection_lost", OutcomeClass::unreachable},
                            Row{CallEnd::failed, "reply_cut", OutcomeClass::transient},
                            Row{CallEnd::timed_out, "timeout", OutcomeClass::timeout},
                            Row{CallEnd::aborted, "aborted", OutcomeClass::cancelled},
                            // Waiting brings no key: the user has to.
                            Row{CallEnd::failed, "no_api_key", OutcomeClass::config},
                            Row{CallEnd::failed, "address_refused", OutcomeClass::config},
                            // The next answer would be as great.
                            Row{CallEnd::failed, "reply_too_big", OutcomeClass::malformed},
                            Row{CallEnd::failed, "bad_encoding", OutcomeClass::malformed});
  Scene scene;
  scene.connect();
  scene.fly({1});
  const Outcome outcome = outcome_of(scene.end(1, row.end, row.code));
  CHECK(outcome.cls == row.cls);
  CHECK(outcome.code == row.code);
  CHECK(outcome.http_status == 0);
  CHECK(outcome.body.empty());
}

TEST_CASE("A line that cannot be rendered is an outcome, without a call", "[worker]") {
  Scene scene;
  scene.spec.shape.prompt = "{{missing}}";
  scene.connect();
  const Nonce nonce = scene.give({1}).only<Need>().nonce;
  const auto turn = scene.permit(nonce, {1});
  CHECK(turn.effects.starts.empty());
  const Outcome outcome = outcome_of(turn);
  CHECK(outcome.call == CallId{1});
  CHECK(outcome.attempt == attempt(1));
  CHECK(outcome.parts.size() == 1);
  CHECK(outcome.cls == OutcomeClass::bad_line);
  CHECK(outcome.code == "invalid_line");
  CHECK(outcome.message.find("missing") != std::string::npos);
  CHECK(scene.room.in_flight() == 0);
  CHECK(scene.room.unrecorded() == 1);
}

TEST_CASE("A template that makes too much of a document is an outcome, without a call",
          "[worker]") {
  Scene scene;
  scene.spec.shape.prompt = std::string(2'000'000, '.');
  scene.spec.shape.system = "{{text}}{{text}}{{text}}{{text}}{{text}}{{text}}{{text}}{{text}}";
  scene.connect();
  scene.give({});
  Batch batch;
  batch.calls.push_back(
      {CallId{1}, {{{JobId{1}, 1, 0}, ItemKind::text, std::string(2'000'000, 'x')}}, {}});
  const Nonce nonce = scene.tell(std::move(batch)).only<Need>().nonce;
  const auto turn = scene.permit(nonce, {1});
  CHECK(turn.effects.starts.empty());
  const Outcome outcome = outcome_of(turn);
  CHECK(outcome.cls == OutcomeClass::too_long);
  CHECK(outcome.code == "exceeds_limit");
  CHECK(outcome.message.find("got 18000000") != std::string::npos);
}

TEST_CASE("An outcome leaves the outbox only when it is recorded", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2});
  scene.end({Scene::answered(1), Scene::answered(2)});
  CHECK(scene.room.unrecorded() == 2);
  CHECK_FALSE(scene.tick_after(seconds{30}).has<Outcomes>()); // said once on a connection
  scene.tell(Recorded{{attempt(1), attempt(50)}});
  CHECK(scene.room.unrecorded() == 1);
  scene.link_down();
  scene.link_up();
  CHECK(outcome_of(scene.greet()).attempt == attempt(2));
  scene.tell(Recorded{{attempt(2)}});
  CHECK(scene.room.unrecorded() == 0);
}

TEST_CASE("Outcomes of one event travel together, in frames of a bounded size", "[worker]") {
  Scene scene;
  scene.connect();
  scene.fly({1, 2, 3});
  CHECK(scene.end({Scene::answered(1)}).only<Outcomes>().outcomes.size() == 1);
  const std::string long_text(700'000, 'x');
  const auto turn = scene.end({Scene::answered(2, long_text), Scene::answered(3, long_text)});
  CHECK(turn.all<Outcomes>().size() == 2);
}

TEST_CASE("A full window of unrecorded outcomes stops new Needs until some are recorded",
          "[worker]") {
  Scene scene;
  scene.welcome.outcome_window_bytes = 500;
  scene.connect();
  scene.fly({1, 2});
  CHECK(scene.answer(1).frames.size() == 1);
  CHECK(scene.give({3}).only<Need>().calls == ids({3})); // below the window
  scene.answer(2);
  CHECK_FALSE(scene.give({4}).has<Need>());
  CHECK_FALSE(scene.tick_after(milliseconds{100}).has<Need>());
  CHECK(scene.tell(Recorded{{attempt(1)}}).only<Need>().calls == ids({4}));
}

} // namespace worker_outcomes_test
