// One worker's books.
#include "actors/coordinator/session.hpp"

#include <catch2/catch.hpp>

namespace session_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

Assigned held(std::size_t bytes) {
  Assigned assigned;
  assigned.job = JobId{7};
  assigned.bytes = bytes;
  return assigned;
}

} // namespace

TEST_CASE("a session counts what it lists: held calls with their bytes, and calls in flight") {
  Session session{Epoch{1}};
  session.give(CallId{1}, held(100));
  session.give(CallId{2}, held(10));
  session.give(CallId{2}, held(10));
  CHECK(session.held() == 2);
  CHECK(session.held_bytes() == 110);
  session.permit(CallId{1}, AttemptId{5}, EndpointId{3});
  CHECK(session.held() == 1);
  CHECK(session.in_flight() == 1);
  CHECK(session.held_bytes() == 10);
  CHECK(session.find(CallId{1})->endpoint == EndpointId{3});
  session.unpermit(CallId{1});
  CHECK(session.held_bytes() == 110);
  CHECK(session.in_flight() == 0);
  CHECK(session.take(CallId{1}).bytes == 100);
  session.take(CallId{2});
  CHECK(session.held() == 0);
  CHECK(session.held_bytes() == 0);
  CHECK(session.find(CallId{2}) == nullptr);
}

TEST_CASE("calls in flight are counted per job, of all sessions, also when one of them goes") {
  InFlight all;
  Session first{Epoch{1}, &all};
  auto second = std::make_unique<Session>(Epoch{1}, &all);
  first.give(CallId{1}, held(1));
  second->give(CallId{2}, held(1));
  CHECK(all.of(JobId{7}) == 0);
  first.permit(CallId{1}, AttemptId{5}, EndpointId{3});
  second->permit(CallId{2}, AttemptId{6}, EndpointId{3});
  CHECK(all.of(JobId{7}) == 2);
  CHECK(all.of(JobId{8}) == 0);
  second->give(CallId{1}, first.take(CallId{1})); // it changes hands
  CHECK(all.of(JobId{7}) == 2);
  second->unpermit(CallId{2});
  CHECK(all.of(JobId{7}) == 1);
  second.reset();
  CHECK(all.of(JobId{7}) == 0);
}

TEST_CASE("a session's rate rises at once and falls slowly") {
  Session session{Epoch{1}};
  session.completed = 1'000; // before anybody looked
  session.beat(start);
  CHECK(session.rate() == 0);
  session.completed += 100;
  session.beat(start + 100ms); // too soon to say
  CHECK(session.rate() == 0);
  session.beat(start + 1s);
  CHECK(session.rate() == Approx(100));
  session.beat(start + 2s);
  CHECK(session.rate() == Approx(50));
  session.completed += 400;
  session.beat(start + 4s);
  CHECK(session.rate() == Approx(200));
}

} // namespace session_test
