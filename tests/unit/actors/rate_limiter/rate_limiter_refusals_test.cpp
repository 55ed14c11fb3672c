// What refusals under 503 teach: a rate, where answers go on beside them; nothing, where the server
// was away for a moment.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

#include <deque>

namespace rate_limiter_refusals_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

// Eight calls at a time against a server that answers in 100 ms what it takes, and refuses the rest
// within a millisecond.
struct Server : Bench {
  static constexpr auto answer = 100ms, at_once = 1ms, step = 5ms;
  std::uint64_t call = 0, answers = 0, refusals = 0;

  Server() {
    endpoint(1, {0, 0, 8});
    job(7, {});
  }
  // `takes`: whether a call that comes now is answered.
  template <class Takes> void run(Duration time, Takes takes) {
    for (const Time end = now + time; now < end; now += step) {
      for (; !out_.empty() && out_.front().second <= now; out_.pop_front())
        end_of(out_.front().first, true);
      for (const auto& permit : ask({CallId{++call}}).permits) {
        if (takes())
          out_.emplace_back(permit, now + answer);
        else
          end_of(permit, false);
      }
    }
  }

private:
  void end_of(const protocol::Permit& permit, bool answered) {
    ++(answered ? answers : refusals);
    Ended ended{Ended::How::answered,
                permit.attempt,
                answered ? OutcomeClass::ok : OutcomeClass::unavailable,
                {},
                -1,
                answered ? answer : at_once};
    ended.http_status = answered ? 200 : 503;
    limiter.ended(ended, now);
  }
  std::deque<std::pair<protocol::Permit, Time>> out_;
};

} // namespace

TEST_CASE("a rate that is told by 503 is learned, because answers go on beside it") {
  Server server;
  double bucket = 10; // it holds a second's worth, and takes ten a second
  Time filled = server.now;
  const auto ten_a_second = [&] {
    bucket = std::min(10.0, bucket + 10 * to_seconds(server.now - filled));
    filled = server.now;
    if (bucket < 1) return false;
    bucket -= 1;
    return true;
  };
  server.run(20s, ten_a_second);
  server.answers = server.refusals = 0;
  server.run(60s, ten_a_second);
  CAPTURE(server.answers, server.refusals);
  CHECK(server.answers >= 540);
  CHECK(server.refusals <= 30);
}

TEST_CASE("a refusal alone is about its item, and teaches no rate") {
  Server server;
  server.run(700ms, [] { return true; });
  const auto refuses_once = [&](bool& done) {
    server.run(100ms, [&] { return std::exchange(done, true); });
  };
  bool first = false, later = false;
  refuses_once(first);
  server.run(3s, [] { return true; });
  refuses_once(later);
  CHECK(server.refusals == 2);
  server.answers = 0;
  server.run(10s, [] { return true; });
  CHECK(server.answers >= 780); // eight in 100 ms
}

TEST_CASE("a server that is away for a moment teaches no rate") {
  Server server;
  server.run(20s, [] { return true; });
  const std::uint64_t before = server.answers;
  CHECK(before >= 1'500); // eight in 100 ms
  for (int times = 0; times < 10; ++times) {
    server.run(700ms + times * 330ms, [] { return false; });
    server.run(2s, [] { return true; }); // it is found to be well
    server.answers = 0;
    server.run(10s, [] { return true; });
    CAPTURE(times, server.answers);
    CHECK(server.answers >= before / 2 * 98 / 100);
  }
}

} // namespace rate_limiter_refusals_test
