// What a worker does with a directory that it shares with its coordinator, and that it loses no
// answer by it.
#include "protocol/limits.hpp"
#include "tests/unit/actors/worker/worker_harness.hpp"

namespace worker_shared_test {

using namespace gristmill;
using namespace gristmill::worker_test;
using worker::BodyStored;
using worker::TextsLoaded;

namespace {

worker::Options with_directory() {
  worker::Options options = plain_options();
  options.has_shared = true;
  return options;
}

struct Shared : Scene {
  Shared() : Scene{with_directory()} {
    welcome.shared = "ours";
    by_reference = true;
    link_up();
    const Turn turn = greet();
    REQUIRE(turn.effects.proves);
    CHECK(turn.effects.proves->directory == "ours");
  }
  Turn prove() { return turn_of(room.proved({session(), {"theirs", "mine"}, ""})); }
  void agree() {
    CHECK(prove().only<SharedProof>() == SharedProof{"theirs", "mine"});
    tell(SharedAgreed{});
  }
  Turn answer_at_length(std::uint64_t call) {
    return end({answered(call, std::string(limits::by_reference_bytes_min, 'x'))});
  }
  Turn stored(std::uint64_t call, std::string failure = "") {
    StoredBody place;
    if (failure.empty()) place = {100, 20, 30};
    std::vector<BodyStored> bodies;
    bodies.push_back({session(), attempt(call), place, std::move(failure)});
    return turn_of(room.stored(std::move(bodies), now));
  }
  Turn give_range(std::uint64_t call, std::string file) {
    Batch batch;
    PlannedPart part{{JobId{1}, call, 0}, ItemKind::text, ""};
    part.range = {std::move(file), 5, 10, 15};
    batch.calls.push_back({CallId{call}, {part}, {}});
    return tell(std::move(batch));
  }
  Turn loaded(std::uint64_t call, std::string failure = "") {
    std::vector<TextsLoaded> calls;
    calls.push_back({session(), CallId{call}, {"ten bytes."}, std::move(failure)});
    return turn_of(room.loaded(std::move(calls), now));
  }
};

} // namespace

TEST_CASE("An answer leaves when its body is durable, without it", "[by_reference]") {
  Shared scene;
  scene.agree();
  scene.fly({1});
  const Turn ended = scene.answer_at_length(1);
  CHECK_FALSE(ended.has<Outcomes>());
  REQUIRE(ended.effects.stores.size() == 1);
  CHECK_THAT(ended.effects.stores[0].body, Catch::Contains("\"body\":{\"choices\""));
  const Outcome outcome = outcome_of(scene.stored(1));
  CHECK(outcome.body.empty());
  CHECK((outcome.stored.offset == 100 && outcome.stored.bytes == 20 && outcome.stored.crc == 30));
  CHECK(scene.room.unrecorded() == 1);
  scene.tell(Recorded{{attempt(1)}});
  CHECK(scene.room.unrecorded() == 0);
}

TEST_CASE("Another session hears by value what the last one stored", "[by_reference]") {
  Shared scene;
  scene.agree();
  scene.fly({1, 2});
  scene.answer_at_length(1);
  scene.answer_at_length(2);
  scene.stored(1);
  scene.link_down();
  scene.link_up();
  const auto outcomes = scene.greet().only<Outcomes>().outcomes;
  REQUIRE(outcomes.size() == 2);
  for (const Outcome& outcome : outcomes) {
    CHECK_FALSE(outcome.stored);
    CHECK_FALSE(outcome.body.empty());
  }
  CHECK_FALSE(scene.stored(2).has<Outcomes>()); // told already
}

TEST_CASE("What cannot be stored is told by value, and nothing is stored after it",
          "[by_reference]") {
  Shared scene;
  scene.agree();
  scene.fly({1, 2});
  scene.answer_at_length(1);
  const Turn failed = scene.stored(1, "no space is left");
  CHECK_FALSE(outcome_of(failed).body.empty());
  CHECK(failed.only<SharedProof>() == SharedProof{});
  REQUIRE(failed.effects.events.size() == 1);
  CHECK(failed.effects.events[0].name == "shared.given_up");
  CHECK_FALSE(outcome_of(scene.answer_at_length(2)).body.empty());
}

TEST_CASE("By value goes what is short, of other jobs, or not agreed on", "[by_reference]") {
  Shared scene;
  scene.fly({1});
  CHECK(scene.answer_at_length(1).has<Outcomes>()); // nobody has agreed
  scene.agree();
  scene.fly({2});
  const std::size_t around = scene.answered(2, "").body.size();
  const auto of_bytes = [&](std::uint64_t call, std::size_t bytes) {
    return scene.end({scene.answered(call, std::string(bytes - around, 'x'))});
  };
  CHECK(of_bytes(2, limits::by_reference_bytes_min - 1).has<Outcomes>());
  scene.fly({3});
  CHECK_FALSE(of_bytes(3, limits::by_reference_bytes_min).has<Outcomes>());
  scene.by_reference = false;
  scene.fly({4});
  CHECK(scene.answer_at_length(4).has<Outcomes>());
}

TEST_CASE("A call is asked for once its text has been read", "[by_reference]") {
  Shared scene;
  scene.agree();
  scene.give(std::vector<CallId>{}); // its job
  const Turn given = scene.give_range(1, "in/corpus");
  CHECK_FALSE(given.has<Need>());
  REQUIRE(given.effects.loads.size() == 1);
  CHECK(given.effects.loads[0].parts[0].file == "in/corpus");
  CHECK(scene.room.held() == 1);
  const Nonce nonce = scene.loaded(1).only<Need>().nonce;
  const Turn permitted = scene.permit(nonce, {1});
  REQUIRE(permitted.effects.starts.size() == 1);
  CHECK_THAT(permitted.effects.starts[0].body, Catch::Contains("ten bytes."));
}

TEST_CASE("A text that is not what it should be goes back, to come by value", "[by_reference]") {
  Shared scene;
  scene.agree();
  scene.give(std::vector<CallId>{});
  scene.give_range(1, "in/corpus");
  const Turn failed = scene.loaded(1, "the file was changed");
  CHECK(failed.only<SharedProof>() == SharedProof{});
  CHECK(failed.only<Returned>().calls.at(0).call == CallId{1});
  CHECK(scene.room.held() == 0);
}

TEST_CASE("A text that is being read when the session ends is nobody's", "[by_reference]") {
  Shared scene;
  scene.agree();
  scene.give(std::vector<CallId>{});
  scene.give_range(1, "in/corpus");
  scene.link_down();
  CHECK(scene.link_up().only<Hello>().held.empty());
  CHECK(scene.room.held() == 0);
}

} // namespace worker_shared_test
