// How many inputs an endpoint takes in a call, as it is found out by what becomes of its calls.
#include "actors/rate_limiter/packs/pack_limit.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace pack_limit_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;
using End = PackLimit::End;
using Sizes = std::vector<std::uint32_t>;

namespace {

struct Server {
  std::uint32_t takes = 2'048;
  PackLimit limit{};
  Time now = time_from_ns(0) + 1h;
  Sizes refused = {};

  End call(std::uint32_t inputs, Duration latency = 10ms) {
    const End end = inputs <= takes ? End::taken : End::refused;
    if (end == End::refused) refused.push_back(inputs);
    return call(inputs, end, latency);
  }
  End call(std::uint32_t inputs, End end, Duration latency = 10ms) {
    const bool trial = limit.begun(inputs);
    limit.ended(inputs, trial, end, latency, now);
    return end;
  }
  Sizes find_out() {
    Sizes tried;
    while (const std::uint32_t next = limit.next(now)) {
      tried.push_back(next);
      REQUIRE(tried.size() < 20);
      call(next);
    }
    return tried;
  }
};

} // namespace

TEST_CASE("the size doubles from eight on until a call is refused, and three are at most") {
  const auto [takes, tried, proved] = GENERATE(table<std::uint32_t, Sizes, std::uint32_t>({
      {2'048, {8, 16, 32, 64, 128, 256, 512, 1'024, 2'048}, 2'048},
      {2'047, {8, 16, 32, 64, 128, 256, 512, 1'024, 2'048}, 1'024},
      {64, {8, 16, 32, 64, 128}, 64},
      {33, {8, 16, 32, 64}, 32},
      {32, {8, 16, 32, 64}, 32},
      {31, {8, 16, 32}, 16},
      {9, {8, 16}, 8},
      {8, {8, 16}, 8},
      {7, {8, 4}, 4},
      {4, {8, 4}, 4},
      {3, {8, 4, 2}, 2},
      {2, {8, 4, 2}, 2},
      {1, {8, 4, 2, 1, 1}, 1},
  }));
  CAPTURE(takes);
  Server server{takes};
  CHECK(server.find_out() == tried);
  CHECK(server.limit.proved() == proved);
  CHECK(server.refused.size() <= 3);
}

TEST_CASE("one call at a time tries a larger size, however it ends") {
  const End end = GENERATE(End::untold, End::taken, End::refused, End::failed);
  Server server;
  server.call(8);
  CHECK(server.limit.takes(16, 1, server.now));
  const bool trial = server.limit.begun(16);
  CHECK(trial);
  CHECK_FALSE(server.limit.takes(16, 1, server.now));
  CHECK(server.limit.may_try(16, 1, server.now));
  CHECK(server.limit.takes(8, 1, server.now));
  CHECK_FALSE(server.limit.begun(8));
  server.limit.ended(8, false, End::taken, 1ms, server.now);
  CHECK_FALSE(server.limit.takes(16, 1, server.now));
  server.limit.ended(16, trial, end, 1ms, server.now);
  CHECK(server.limit.takes(16, 1, server.now) == (end == End::untold || end == End::taken));
  CHECK(server.limit.proved() == (end == End::taken ? 16 : 8));
}

TEST_CASE("a size that was refused is tried again after an hour, one that failed after a minute") {
  const bool failed = GENERATE(true, false);
  const Duration pause = failed ? PackLimit::failed_for : PackLimit::refused_for;
  Server server;
  server.call(8);
  server.call(16, failed ? End::failed : End::refused);
  CHECK(server.limit.next(server.now) == 0);
  CHECK_FALSE(server.limit.may_try(16, 1, server.now));
  server.now += pause - 1ms;
  CHECK(server.limit.next(server.now) == 0);
  server.now += 1ms;
  CHECK(server.limit.next(server.now) == 16);
}

TEST_CASE("when calls of a size that is taken are refused it was one of the inputs") {
  Server server;
  server.call(8);
  server.call(16, End::refused);
  server.call(8, End::refused); // a half of it
  CHECK(server.limit.next(server.now) == 16);
  CHECK(server.limit.proved() == 8);
  SECTION("once; the next time two of them have to be") {
    server.call(16, End::refused);
    server.call(8, End::refused);
    CHECK(server.limit.next(server.now) == 0);
    server.call(1, End::refused);
    CHECK(server.limit.next(server.now) == 16);
  }
  SECTION("a size below the refused one is proved meanwhile") {
    server.call(16);
    CHECK(server.limit.next(server.now) == 32);
  }
}

TEST_CASE("before it is believed that only one input is taken two calls of one are tried") {
  Server server;
  for (const std::uint32_t inputs : {8, 4, 2}) {
    CHECK(server.limit.next(server.now) == inputs);
    server.call(inputs, End::refused);
  }
  CHECK(server.limit.next(server.now) == 1);
  SECTION("one of them is refused: it was that input") {
    if (GENERATE(true, false)) server.call(1);
    server.call(1, End::refused);
    CHECK(server.limit.next(server.now) == 8);
    server.call(8);
    CHECK(server.limit.proved() == 8);
  }
  SECTION("both are taken") {
    server.call(1);
    CHECK(server.limit.next(server.now) == 1);
    server.call(1);
    CHECK(server.limit.next(server.now) == 0);
    server.now += PackLimit::refused_for;
    CHECK(server.limit.next(server.now) == 8);
  }
}

TEST_CASE("another server may stand there that takes fewer") {
  Server server{32};
  server.find_out();
  server.takes = 10;
  for (int n = 0; n < 2; ++n) server.call(32);
  CHECK(server.limit.proved() == 32);
  server.call(32);
  CHECK(server.limit.proved() == 16);
  for (int n = 0; n < 3; ++n) server.call(16);
  CHECK(server.limit.proved() == 8);
  for (int n = 0; n < 9; ++n) server.call(8);
  CHECK(server.limit.proved() == 8);
}

TEST_CASE("calls that are refused for an input now and then lower nothing") {
  Server server{32};
  server.find_out();
  for (int n = 0; n < 20; ++n) {
    server.call(32, End::refused);
    server.call(16, End::refused); // the half that has it
    server.call(16);               // and the other
    server.call(32);
  }
  CHECK(server.limit.proved() == 32);
}

TEST_CASE("calls that take long become no longer") {
  const bool slow = GENERATE(true, false);
  Server server;
  server.call(8, PackLimit::slow + (slow ? 1ms : 0ms));
  CHECK(server.limit.proved() == 8);
  CHECK(server.limit.next(server.now) == (slow ? 0 : 16));
  server.call(8);
  CHECK(server.limit.next(server.now) == 16);
}

TEST_CASE("an endpoint of which nothing is known may try what others take") {
  Server fresh;
  CHECK(fresh.limit.takes(2'048, 2'048, fresh.now));
  CHECK_FALSE(fresh.limit.takes(2'048, 1'024, fresh.now));
  CHECK(fresh.limit.takes(8, 1, fresh.now));
  CHECK_FALSE(fresh.limit.takes(9, 1, fresh.now));
  fresh.call(2'048, End::refused);
  CHECK(fresh.limit.is_known());
  CHECK_FALSE(fresh.limit.takes(1'024, 2'048, fresh.now));
  CHECK(fresh.limit.next(fresh.now) == 8);
}

TEST_CASE("a call of one input says nothing of how many are taken") {
  Server server;
  server.call(1);
  server.call(1, End::failed);
  CHECK_FALSE(server.limit.is_known());
  CHECK(server.limit.next(server.now) == pack_first);
}

} // namespace pack_limit_test
