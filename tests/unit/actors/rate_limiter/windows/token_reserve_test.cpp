// What is set aside for a call whose use nobody knows yet.
#include "actors/rate_limiter/windows/token_reserve.hpp"

#include <catch2/catch.hpp>

namespace token_reserve_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

void learn(TokenReserve& reserve, int calls, std::uint64_t bound, std::uint64_t used,
           Duration took = 1s) {
  for (int i = 0; i < calls; ++i) reserve.learn(bound, used, took);
}

} // namespace

TEST_CASE("until twenty calls are known the bound is reserved", "[tokens]") {
  TokenReserve reserve;
  learn(reserve, 19, 4'000, 100);
  CHECK(reserve.of(4'000, 0).reserved == 4'000);
  CHECK(reserve.of(4'000, 0).paced == 4'000);
  learn(reserve, 1, 4'000, 100);
  CHECK(reserve.of(4'000, 0).reserved <= 250); // twice as cautious as later
  CHECK(reserve.of(4'000, 0).reserved >= 200);
  learn(reserve, 2'000, 4'000, 100);
  CHECK(reserve.of(4'000, 0).reserved <= 112); // up to a bucket's width
  CHECK(reserve.of(4'000, 0).paced <= 102);
}

TEST_CASE("a reserve is at least one and never above the bound", "[tokens]") {
  const std::uint64_t used = GENERATE(0, 1, 1'000, 5'000);
  TokenReserve reserve;
  learn(reserve, 500, 1'000, used);
  for (const std::uint64_t bound : {0, 1, 2, 999, 1'000, 1'001, 1'000'000}) {
    CAPTURE(used, bound);
    const auto [reserved, paced] = reserve.of(bound, 3);
    CHECK(reserved <= bound);
    CHECK(paced <= bound);
    if (bound > 0) CHECK(std::min(reserved, paced) >= 1);
  }
}

TEST_CASE("one call alone is reserved its tail, many share theirs", "[tokens]") {
  TokenReserve reserve;
  for (int i = 0; i < 3'000; ++i) reserve.learn(1'000, i % 100 == 0 ? 900 : 100, 1s);
  CHECK(reserve.of(1'000, 0).reserved >= 900);
  CHECK(reserve.of(1'000, 9).reserved <= 300);
  std::uint64_t before = 1'000;
  for (const std::uint64_t others : {1, 10, 100, 1'000}) {
    const auto [reserved, paced] = reserve.of(1'000, others);
    CHECK(reserved < before);
    CHECK(reserved >= 108); // no less than the average
    CHECK(paced <= reserved);
    before = reserved;
  }
}

TEST_CASE("use follows the bound where it does", "[tokens]") {
  TokenReserve reserve;
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    const std::uint64_t bytes = 100 + 37 * i % 4'000;
    reserve.learn(bytes + 1'000, bytes / 4 + 50, 1s);
  }
  for (const std::uint64_t bytes : {100, 1'000, 4'000}) {
    const double paced = static_cast<double>(reserve.of(bytes + 1'000, 20).paced);
    CHECK(paced == Approx(static_cast<double>(bytes) / 4 + 50).epsilon(0.05).margin(5));
  }
}

TEST_CASE("what is beyond all experience counts in full", "[tokens]") {
  TokenReserve reserve;
  learn(reserve, 1'000, 1'000, 100);
  const std::uint64_t known = reserve.of(1'000, 0).reserved;
  CHECK(reserve.of(1'001, 0).reserved == known + 1);
  CHECK(reserve.of(101'000, 0).reserved == known + 100'000);
}

TEST_CASE("long calls count for more, because mostly they are in flight", "[tokens]") {
  TokenReserve reserve;
  for (int i = 0; i < 1'000; ++i) {
    reserve.learn(1'000, 100, 1s);
    reserve.learn(1'000, 500, 9s);
  }
  CHECK(reserve.of(1'000, 10'000).reserved >= 460); // not the 300 of an average call
}

TEST_CASE("what was learned fades", "[tokens]") {
  TokenReserve reserve;
  learn(reserve, 10'000, 1'000, 800);
  learn(reserve, 40'000, 1'000, 100);
  CHECK(reserve.of(1'000, 0).reserved <= 120);
  learn(reserve, 8'000, 1'000, 800);
  CHECK(reserve.of(1'000, 0).reserved >= 800);
}

TEST_CASE("what was learned comes back from its note", "[tokens]") {
  TokenReserve reserve;
  for (int i = 0; i < 3'000; ++i)
    reserve.learn(500 + 500 * (i % 7), i % 100 == 0 ? 900 : 100 + 10 * (i % 7), i % 3 * 1s);
  const std::string note = reserve.note();
  CHECK(note.size() < 1'500);
  auto again = TokenReserve::of_note(note);
  REQUIRE(again);
  for (const std::uint64_t bound : {1, 400, 1'000, 3'500, 9'000})
    for (const std::uint64_t others : {0, 5, 500}) {
      CHECK(again->of(bound, others).reserved == reserve.of(bound, others).reserved);
      CHECK(again->of(bound, others).paced == reserve.of(bound, others).paced);
    }
  reserve.learn(1'000, 700, 1s); // and both go on alike
  again->learn(1'000, 700, 1s);
  CHECK(again->of(1'000, 3).reserved == reserve.of(1'000, 3).reserved);
}

TEST_CASE("a note is made when a quarter more is known than noted", "[tokens]") {
  TokenReserve reserve;
  CHECK(reserve.note().empty());
  learn(reserve, 19, 1'000, 100);
  CHECK(reserve.note().empty());
  learn(reserve, 1, 1'000, 100);
  CHECK_FALSE(reserve.note().empty());
  CHECK(reserve.note().empty());
  learn(reserve, 380, 1'000, 100);
  CHECK_FALSE(reserve.note().empty()); // 400 are known
  learn(reserve, 133, 1'000, 100);
  CHECK(reserve.note().empty());
  learn(reserve, 1, 1'000, 100);
  CHECK_FALSE(reserve.note().empty());
}

TEST_CASE("a note that is none of ours teaches nothing", "[tokens]") {
  TokenReserve reserve;
  learn(reserve, 40, 1'000, 100);
  const std::string good = reserve.note();
  REQUIRE(TokenReserve::of_note(good));
  for (std::size_t length = 0; length < good.size(); ++length) {
    CAPTURE(good, length);
    CHECK_FALSE(TokenReserve::of_note(good.substr(0, length)));
  }
  for (const std::string& bad :
       {std::string{"2"} + good.substr(1), std::string{"1 -"} + good.substr(2), good + " ",
        good + " 96:1", good + " 5", good + " 5:nan", good + " 5:-1", good + "x",
        std::string{"1 inf 1 1 1 1 1 1 1 1"}, std::string{"1 0 0 0 0 0 0 0 0 0"}}) {
    CAPTURE(bad);
    CHECK_FALSE(TokenReserve::of_note(bad));
  }
}

} // namespace token_reserve_test
