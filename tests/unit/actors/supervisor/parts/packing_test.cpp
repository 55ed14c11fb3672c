// How many parts go together in the next call of a model.
#include "actors/supervisor/packing.hpp"

#include <catch2/catch.hpp>

namespace packing_test {

using namespace gristmill;
using namespace gristmill::supervisor;

namespace {

const Time now = time_from_ns(0) + std::chrono::hours{1};

OfferedCall call_of(std::uint64_t number, std::size_t parts, std::uint32_t stream = 0) {
  OfferedCall call;
  call.planned.call = CallId{number};
  call.planned.model = "m";
  for (std::size_t n = 0; n < parts; ++n)
    call.planned.parts.push_back({{JobId{7}, n, PartNumber{stream, 0, 0}.value()}, {}, {}});
  return call;
}

} // namespace

TEST_CASE("the first call of a model tries eight, and its stream waits for it") {
  Packing packing{2'048};
  CallBook calls;
  packing.look_at(calls, now);
  CHECK(packing.bounds("m").parts == pack_first);
  packing.leaves(call_of(5, 8, 2));
  calls.open(CallId{5}, {PartId{JobId{7}, 0, 0}});
  packing.look_at(calls, now);
  CHECK(packing.holds(2));
  CHECK_FALSE(packing.holds(0));
  CHECK(packing.bounds("m").parts == 1);
  CHECK(packing.bounds("n").parts == pack_first);
  SECTION("until it is over") {
    calls.close(CallId{5});
    packing.look_at(calls, now);
    CHECK_FALSE(packing.holds(2));
    CHECK(packing.bounds("m").parts == pack_first); // nobody has told anything
  }
  SECTION("until more is known") {
    packing.told({{"m", 64, 128}});
    CHECK_FALSE(packing.holds(2));
    CHECK(packing.bounds("m").parts == 64); // its trial is under way
  }
}

TEST_CASE("beside a trial a few calls go, and all once it takes long") {
  const std::uint32_t beside = GENERATE(0u, 1u, 3u);
  CAPTURE(beside);
  Packing packing{2'048};
  CallBook calls;
  packing.told({{"m", 8, 16, beside}});
  const auto leave = [&](std::uint64_t number, std::size_t parts) {
    calls.open(CallId{number}, {PartId{JobId{7}, number, 0}});
    packing.leaves(call_of(number, parts));
    packing.look_at(calls, now);
  };
  packing.look_at(calls, now);
  leave(5, 16);
  for (std::uint64_t n = 1; n <= beside; ++n) {
    CHECK_FALSE(packing.holds(0));
    CHECK(packing.holds_until() == never);
    leave(5 + n, 8);
  }
  CHECK(packing.holds(0));
  CHECK_FALSE(packing.holds(1));
  CHECK(packing.holds_until() == now + std::chrono::seconds{10});
  if (beside > 0) {
    SECTION("one of them is over") {
      calls.close(CallId{6});
      packing.look_at(calls, now);
    }
  }
  SECTION("the trial is over") {
    calls.close(CallId{5});
    packing.look_at(calls, now);
  }
  SECTION("it takes long") {
    packing.look_at(calls, now + std::chrono::seconds{10});
  }
  CHECK_FALSE(packing.holds(0));
  CHECK(packing.holds_until() == never);
}

TEST_CASE("when even two are refused, calls of one are tried one by one") {
  Packing packing{2'048};
  CallBook calls;
  packing.look_at(calls, now);
  packing.told({{"m", 1, 1}});
  CHECK(packing.bounds("m").parts == 1);
  packing.leaves(call_of(5, 1));
  CHECK(packing.holds(0));
  packing.look_at(calls, now);
  CHECK_FALSE(packing.holds(0));
  packing.told({{"m", 1, 0}});
  packing.leaves(call_of(6, 1));
  CHECK_FALSE(packing.holds(0));
}

TEST_CASE("of one part the first call is no trial") {
  Packing packing{2'048};
  packing.leaves(call_of(5, 1));
  CHECK_FALSE(packing.holds(0));
}

TEST_CASE("one call at a time is a trial, the others are of the size that is taken") {
  Packing packing{2'048};
  CallBook calls;
  packing.told({{"m", 8, 16}});
  CHECK(packing.bounds("m").parts == 16);
  packing.leaves(call_of(5, 8)); // there were no more
  CHECK(packing.bounds("m").parts == 16);
  packing.leaves(call_of(6, 9));
  calls.open(CallId{6}, {PartId{JobId{7}, 0, 0}});
  packing.look_at(calls, now);
  CHECK_FALSE(packing.holds(0));
  CHECK(packing.bounds("m").parts == 8);
  calls.close(CallId{6});
  packing.look_at(calls, now);
  packing.told({{"m", 8, 0}}); // refused
  CHECK(packing.bounds("m").parts == 8);
}

TEST_CASE(
    "of so many models is known how many inputs go together, of others each part goes alone") {
  Packing packing{2'048};
  const auto name = [](std::size_t n) { return "m" + std::to_string(n); };
  OfferedCall call = call_of(5, 1);
  for (std::size_t n = 0; n < 10'000; ++n) { // single calls are nothing to know
    call.planned.model = name(n);
    packing.leaves(call);
  }
  CHECK(packing.bounds("other").parts == pack_first);
  for (std::size_t n = 0; n < limits::packed_models_max; ++n) {
    CHECK(packing.bounds("other").parts == pack_first);
    packing.told({{name(n), 64, 128}});
  }
  CHECK(packing.bounds("other").parts == 1);
  packing.told({{"other", 64, 128}});
  packing.heard("other", 9);
  CHECK(packing.bounds("other").parts == 1);
  CHECK(packing.bounds(name(0)).parts == 128);
}

TEST_CASE("calls are no larger than the user wants, than a window yields, than an answer may be") {
  Packing packing{100};
  packing.told({{"m", 64, 128}});
  CHECK(packing.bounds("m").parts == 100);
  CHECK(packing.bounds("m").tokens == DraftBounds{}.tokens);
  for (const std::uint64_t window : {std::uint64_t{5'000}, limits::pack_tokens_max + 1}) {
    packing.told({{"m", 64, 128, 1, window}});
    CHECK(packing.bounds("m").tokens == window);
  }
  JobSpec rich, with_window, with_budget;
  with_window.limits.rates.tokens_per_minute = 1'000'000;
  with_budget.limits.budget = Usd::from_usd(1);
  CHECK(Packing{rich}.bounds("m").tokens == DraftBounds{}.tokens);
  CHECK(Packing{with_window}.bounds("m").tokens == limits::pack_tokens_max);
  CHECK(Packing{with_budget}.bounds("m").tokens == limits::pack_tokens_max);
  packing.heard("m", limits::pack_reply_bytes_max / 50);
  packing.heard("m", 7);
  CHECK(packing.bounds("m").parts == 50);
  packing.heard("m", 2 * limits::pack_reply_bytes_max);
  CHECK(packing.bounds("m").parts == 1);
}

} // namespace packing_test
