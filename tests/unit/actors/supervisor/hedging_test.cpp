// When a call gets a second one: what is usual, which calls are far beyond it, and how many.
#include "actors/supervisor/hedging.hpp"

#include <catch2/catch.hpp>

namespace hedging_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

Hedging after(std::uint64_t answers, Duration latency, std::uint32_t percent = 10) {
  Hedging hedging{percent, 0};
  for (std::uint64_t n = 0; n < answers; ++n) hedging.answered(latency);
  return hedging;
}

// Calls 1, 2, … that began so long ago.
CallBook begun(const std::vector<Duration>& ago) {
  CallBook book;
  for (std::uint64_t n = 0; n < ago.size(); ++n) {
    book.open(CallId{n + 1}, {{JobId{7}, n, 0}});
    book.begun(CallId{n + 1}, EndpointId{4}, now - ago[n]);
  }
  return book;
}
using Calls = std::vector<CallId>;

} // namespace

TEST_CASE("second calls are at most the percentage of the items, rounded down") {
  const auto [percent, items, most] = GENERATE(table<std::uint32_t, std::uint64_t, std::uint64_t>({
      {0, 1'000, 0},
      {5, 0, 0},
      {5, 19, 0},
      {5, 20, 1},
      {5, 39, 1},
      {5, 40, 2},
      {100, 3, 3},
  }));
  CAPTURE(percent, items);
  Hedging hedging{percent, 0};
  std::uint64_t second = 0;
  for (; hedging.may_begin(items); ++second) hedging.begun();
  CHECK(second == most);
}

TEST_CASE("calls beyond one for each item of earlier lives count as second ones") {
  const std::uint64_t used = GENERATE(4u, 5u, 6u);
  CHECK(Hedging{5, used}.may_begin(100) == (used < 5));
}

TEST_CASE("nothing is usual before twenty answers, nor where nobody asked for second calls") {
  for (const std::uint64_t answers :
       {Hedging::answers_least - 1, Hedging::answers_least, Hedging::answers_least + 1}) {
    CAPTURE(answers);
    CHECK(after(answers, 100ms).patience().has_value() == (answers >= Hedging::answers_least));
  }
  CHECK_FALSE(after(1'000, 100ms, 0).patience());
}

TEST_CASE("patience is twice what is usual, but 100 ms more at least") {
  const auto [usual, patience] = GENERATE(table<std::chrono::milliseconds, Duration>({
      {0ms, 100ms},
      {1ms, 101ms},
      {99ms, 199ms},
      {100ms, 200ms},
      {101ms, 202ms},
      {127ms, 254ms},
  }));
  CHECK(after(20, usual).patience() == patience);
}

TEST_CASE("usual is what 95 of 100 answers are not above") {
  const int slow = GENERATE(4, 5, 6);
  Hedging hedging{10, 0};
  for (int n = 0; n < 100; ++n) hedging.answered(n < slow ? 10s : 50ms);
  CHECK((hedging.patience() == 150ms) == (slow <= 5));
}

TEST_CASE("calls that have taken as long as patience says are slow, the slowest first") {
  Hedging hedging = after(20, 100ms); // 200 ms
  const CallBook book = begun({200ms - 1ns, 201ms, 200ms, 150ms});
  CHECK(hedging.slow_calls(book, now) == Calls{{2}, {3}});
  CHECK(hedging.look_at() == now + 1ns); // when the next one will be
  CHECK(hedging.slow_calls(book, now + 1ns) == Calls{{2}, {3}, {1}});
  CHECK(hedging.look_at() == now + 50ms);
  CHECK(hedging.slow_calls(book, now + 50ms) == Calls{{2}, {3}, {1}, {4}});
  CHECK(hedging.look_at() == never);
}

TEST_CASE("a call that has, or had, a second one gets no other") {
  Hedging hedging = after(20, 100ms);
  CallBook book = begun({1s, 1s, 1s});
  book.open_second(CallId{1}, CallId{9});
  book.set_hedged(CallId{2});
  CHECK(hedging.slow_calls(book, now) == Calls{{3}});
  book.close(CallId{9});
  CHECK(hedging.slow_calls(book, now) == Calls{{3}});
}

TEST_CASE("no call is slow while another has not begun, or nothing is known to be usual") {
  CallBook book = begun({1h});
  Hedging hedging = after(20, 100ms);
  CHECK(after(19, 100ms).slow_calls(book, now).empty());
  book.open(CallId{7}, {{JobId{7}, 7, 0}});
  CHECK(hedging.slow_calls(book, now).empty());
  CHECK(hedging.look_at() == never); // until something changes
  book.begun(CallId{7}, EndpointId{4}, now);
  CHECK(hedging.slow_calls(book, now) == Calls{{1}});
}

TEST_CASE("one looks soon after a change, not for each of many, and never where it is off") {
  Hedging hedging{10, 0};
  CHECK(hedging.look_at() == never);
  hedging.look_soon(now);
  hedging.look_soon(now + 1ms);
  CHECK(hedging.look_at() == now + 50ms);
  hedging.looked();
  CHECK(hedging.look_at() == never);
  Hedging off{0, 0};
  CHECK_FALSE(off.is_on());
  off.look_soon(now);
  CHECK(off.look_at() == never);
}

} // namespace hedging_test
