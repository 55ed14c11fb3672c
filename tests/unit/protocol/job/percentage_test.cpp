#include "protocol/job/percentage.hpp"

#include <catch2/catch.hpp>
#include <cmath>

using gristmill::Percentage;

TEST_CASE("a percentage is above 0, at most 100, and has four decimals at most") {
  const auto [percent, millionths] = GENERATE(table<double, std::uint32_t>({
      {100, 1'000'000},
      {50, 500'000},
      {12.5, 125'000},
      {0.1, 1'000},
      {33.3333, 333'333},
      {0.0001, 1},
      {99.9999, 999'999},
  }));
  CAPTURE(percent);
  const auto made = Percentage::of(percent);
  REQUIRE(made);
  CHECK(made->millionths() == millionths);
  CHECK(made->percent() == percent);
  CHECK(made->is_all() == (percent == 100));
}

TEST_CASE("what is no such percentage is none") {
  const double percent = GENERATE(0.0, -1.0, 100.0001, 101.0, 0.00005, 0.00001, 33.33333, 1e300,
                                  HUGE_VAL, std::nan(""));
  CAPTURE(percent);
  CHECK_FALSE(Percentage::of(percent));
}
