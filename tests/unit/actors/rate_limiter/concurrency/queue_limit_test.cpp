// How the limit of calls in flight follows what a server says of its queue, each rule by itself.
#include "actors/rate_limiter/concurrency/concurrency_limit.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

namespace queue_limit_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using protocol::QueueReport;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

const EndpointId endpoint{1};
const Time start = Time{} + std::chrono::hours{1};

QueueReport report(std::uint64_t waiting, std::int64_t running) {
  return {endpoint, waiting, running};
}

} // namespace

TEST_CASE("a queue that stays is taken away but for a sixteenth of what runs", "[queue]") {
  QueueLimit limit;
  CHECK(limit.told(report(480, 32), {512, 512, true}, start) == 512);
  CHECK(limit.told(report(480, 32), {512, 512, true}, start + milliseconds{799}) == 512);
  CHECK(limit.told(report(480, 32), {512, 512, true}, start + milliseconds{800}) == 34);
}

TEST_CASE("a queue that was gone in between has not stayed", "[queue]") {
  QueueLimit limit;
  CHECK(limit.told(report(480, 32), {512, 512, true}, start) == 512);
  CHECK(limit.told(report(2, 32), {34, 512, true}, start + seconds{1}) == 512); // may wait
  CHECK(limit.told(report(480, 32), {512, 512, true}, start + seconds{2}) == 512);
  CHECK(limit.told(report(3, 32), {34, 512, true}, start + seconds{3}) == 34);
}

TEST_CASE("of a queue that changes only what was always too many is taken away", "[queue]") {
  QueueLimit limit;
  limit.told(report(30, 32), {112, 512, true}, start); // 50 on their way
  CHECK(limit.told(report(480, 32), {512, 512, true}, start + seconds{1}) == 84);
}

TEST_CASE("calls on their way to the server are no reason to have fewer", "[queue]") {
  QueueLimit limit;
  const QueueLimit::Ours ours{150, 150, true};
  limit.told(report(68, 32), ours, start);
  CHECK(limit.told(report(68, 32), ours, start + seconds{1}) == 84); // 50 are on their way
}

TEST_CASE("others' calls in the queue leave as many as the server runs", "[queue]") {
  QueueLimit limit;
  const QueueLimit::Ours ours{100, 100, true};
  limit.told(report(5'000, 32), ours, start);
  CHECK(limit.told(report(5'000, 32), ours, start + seconds{1}) == 34);
  QueueLimit few;
  const QueueLimit::Ours small{5, 5, true};
  few.told(report(5'000, 32), small, start);
  CHECK(few.told(report(5'000, 32), small, start + seconds{1}) == 5);
}

TEST_CASE("of a server that does not say what it runs, what waits is taken away", "[queue]") {
  QueueLimit limit;
  const QueueLimit::Ours ours{100, 100, true};
  limit.told(report(68, -1), ours, start);
  CHECK(limit.told(report(68, -1), ours, start + seconds{1}) == 34);
  limit.told(report(5'000, -1), ours, start + seconds{2});
  CHECK(limit.told(report(5'000, -1), ours, start + seconds{3}) == 1);
}

TEST_CASE("a server that stands still is left a single call", "[queue]") {
  QueueLimit limit;
  const QueueLimit::Ours ours{100, 100, true};
  limit.told(report(100, 0), ours, start);
  CHECK(limit.told(report(100, 0), ours, start + seconds{1}) == 1);
}

TEST_CASE("while nobody waits a limit that binds grows, by more each time in a row", "[queue]") {
  QueueLimit limit;
  Time now = start;
  const auto told = [&](std::uint64_t waiting, bool binds, milliseconds after = seconds{1}) {
    now += after;
    return limit.told(report(waiting, 160), {160, 160, binds}, now);
  };
  CHECK(told(1, true) == 160); // somebody has waited
  CHECK(told(0, false) == 160);
  CHECK(told(0, true) == 170);
  CHECK(told(0, true, milliseconds{799}) == 160);
  CHECK(told(0, true, milliseconds{1}) == 180);
  CHECK(told(0, true) == 200);
  CHECK(told(0, true) == 240);
  CHECK(told(0, true) == 240); // never by more than a half
  CHECK(told(1, true) == 160);
  CHECK(told(0, true) == 170);
  CHECK(QueueLimit{}.told(report(0, 1), {1, 1, true}, now) == 2);
}

TEST_CASE("before anybody has waited each report raises it by a quarter of what runs", "[queue]") {
  QueueLimit limit;
  Time now = start;
  const auto told = [&](std::int64_t running, std::uint32_t in_flight, std::uint32_t before,
                        bool binds = true) {
    now += milliseconds{25};
    return limit.told(report(0, running), {in_flight, before, binds}, now);
  };
  CHECK(told(32, 32, 32, false) == 32);
  CHECK(told(32, 32, 32) == 40);
  CHECK(told(32, 40, 40) == 40); // the others have not arrived
  CHECK(told(40, 40, 40) == 50);
  CHECK(told(400, 50, 50) == 62); // another client's calls prove nothing of ours
  CHECK(told(1, 1, 1) == 2);
  CHECK(told(-1, 50, 50) == 50); // not told: no sooner than 0.8 s later
  limit.told(report(1, 50), {62, 62, true}, now);
  CHECK(told(62, 62, 62) == 62);
}

TEST_CASE("several workers that tell of one server change nothing sooner", "[queue]") {
  QueueLimit growing, falling;
  double grown = 160;
  for (int n = 0; n < 10; ++n) { // ten within a second
    const Time now = start + n * milliseconds{100};
    const auto limit = static_cast<std::uint32_t>(grown);
    if (n == 0) growing.told(report(1, 159), {160, 160, true}, now);
    grown = growing.told(report(0, 160), {limit, limit, true}, now);
    CHECK(falling.told(report(90, 10), {100, 100, true}, now) == (n < 8 || n > 8 ? 100 : 11));
  }
  CHECK(grown == 191); // once, and again after 0.8 s
}

TEST_CASE("a report in which most of our calls are missing decides nothing", "[queue]") {
  QueueLimit limit;
  CHECK(limit.told(report(0, 49), {100, 100, true}, start) == 100);
  CHECK_FALSE(limit.decides(start));
  CHECK(limit.fresh(start) == report(0, 49));
  CHECK(limit.told(report(0, 50), {100, 100, true}, start) > 100); // some are on their way
  CHECK(limit.decides(start));
}

TEST_CASE("a report is worth something for three seconds", "[queue]") {
  QueueLimit limit;
  CHECK_FALSE(limit.decides(start));
  CHECK_FALSE(limit.fresh(start));
  limit.told(report(1, 32), {33, 33, true}, start);
  CHECK(limit.decides(start + milliseconds{2'999}));
  CHECK(limit.fresh(start + milliseconds{2'999}) == report(1, 32));
  CHECK_FALSE(limit.decides(start + seconds{3}));
  CHECK_FALSE(limit.fresh(start + seconds{3}));
}

TEST_CASE("numbers beyond all reason are survived", "[queue]") {
  ConcurrencyLimit limit{512};
  for (int n = 0; n < 5; ++n)
    limit.told({endpoint, UINT64_MAX, INT64_MAX}, 128, start + n * seconds{1});
  CHECK(limit.limit() >= 1);
  CHECK(limit.limit() <= 512);
  for (int n = 5; n < 10; ++n) limit.told({endpoint, UINT64_MAX, -1}, 128, start + n * seconds{1});
  CHECK(limit.limit() == 1);
}

TEST_CASE("what the server says stays below what may be in flight and below its ceiling",
          "[queue]") {
  ConcurrencyLimit limit{130};
  Time now = start;
  const auto free_server = [&](int times) {
    for (int n = 0; n < times; ++n) {
      CHECK_FALSE(limit.allows(limit.limit()));
      limit.told(report(0, limit.limit()), limit.limit(), now += seconds{1});
    }
  };
  free_server(8);
  CHECK(limit.limit() == 130);
  limit.overloaded(now); // 130 were too many
  CHECK(limit.limit() == 91);
  free_server(20);
  CHECK(limit.limit() < 130);
}

TEST_CASE("while reports are fresh latency is not listened to, afterwards it is", "[queue]") {
  ConcurrencyLimit limit{512};
  Time now = start;
  const auto round = [&](milliseconds latency, bool tells) {
    std::vector<Flight> flying;
    for (std::uint32_t n = 0; n < 128; ++n) flying.push_back(limit.begun(now));
    CHECK_FALSE(limit.allows(limit.limit()));
    now += latency;
    if (tells) limit.told(report(1, limit.limit()), limit.limit(), now);
    for (const Flight& call : flying) limit.answered(call, latency, now);
  };
  round(milliseconds{100}, false);
  const std::uint32_t risen = limit.limit();
  for (int n = 0; n < 20; ++n) round(milliseconds{1'000}, true); // ten times as long
  CHECK(limit.limit() == risen);
  CHECK(limit.queue(now) == report(1, risen));
  now += seconds{4};
  CHECK_FALSE(limit.queue(now));
  std::vector<std::uint32_t> later;
  for (int n = 0; n < 20; ++n) {
    round(milliseconds{1'000}, false);
    later.push_back(limit.limit());
  }
  CHECK(std::any_of(later.begin(), later.end(), [&](auto l) { return l != risen; })); // it tries
}

} // namespace queue_limit_test
