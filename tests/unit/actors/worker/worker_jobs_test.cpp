// What WORKER keeps of jobs, and of a coordinator that has no room for it.
#include "tests/unit/actors/worker/worker_harness.hpp"

namespace worker_jobs_test {

using namespace gristmill;
using namespace gristmill::protocol;
using namespace gristmill::worker_test;

TEST_CASE("a worker forgets a job when it is told to, unless it holds a call of it") {
  Scene scene;
  scene.connect();
  scene.give({1, 2});
  CHECK(scene.room.jobs_known() == 1);
  Recorded closed;
  closed.closed_jobs = {JobId{1}, JobId{2}};
  scene.tell(closed);
  CHECK(scene.room.jobs_known() == 1);
  scene.tell(Cancel{ids({1, 2})});
  scene.tell(closed);
  CHECK(scene.room.jobs_known() == 0);
  // A call in flight needs its job no more, and the job may be opened again.
  scene.fly({3});
  scene.tell(closed);
  CHECK(scene.room.jobs_known() == 0);
  CHECK(outcome_of(scene.answer(3)).cls == OutcomeClass::ok);
  scene.fly({4});
  CHECK(outcome_of(scene.answer(4)).cls == OutcomeClass::ok);
}

TEST_CASE("a new session leaves a worker the jobs of the calls that stay with it") {
  Scene scene;
  scene.connect();
  scene.give({1});
  const bool stays = GENERATE(true, false);
  if (stays) scene.welcome.keep_held = ids({1});
  scene.link_down();
  scene.link_up();
  const Turn greeted = scene.greet();
  CHECK(scene.room.jobs_known() == (stays ? 1 : 0));
  if (stays) {
    const Nonce nonce = greeted.only<Need>().nonce;
    CHECK(scene.permit(nonce, {1}).effects.starts.size() == 1);
  }
}

TEST_CASE("a coordinator without room is asked again, and the reason is told once") {
  Scene scene;
  scene.link_up();
  Turn turn = scene.refuse(RefusedCode::full);
  CHECK(turn.effects.refused.empty());
  REQUIRE(turn.effects.events.size() == 1);
  CHECK(turn.effects.events[0].name == "worker.full");
  CHECK(scene.tick_after(seconds{2}).has<Hello>());
  turn = scene.refuse(RefusedCode::full);
  CHECK((turn.effects.refused.empty() && turn.effects.events.empty()));
  CHECK(scene.tick_after(seconds{4}).has<Hello>());
  CHECK(scene.greet().effects.welcome);
}

} // namespace worker_jobs_test
