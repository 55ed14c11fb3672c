// Money: what becomes of numbers of US$, and of sums and differences at their ends.
#include "protocol/job/usd.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <type_traits>

namespace usd_test {

using namespace gristmill;

static_assert(!std::is_constructible_v<Usd, std::uint64_t> &&
              !std::is_constructible_v<Usd, double>);
static_assert(!std::is_convertible_v<Usd, std::uint64_t> && !std::is_convertible_v<Usd, double>);

TEST_CASE("a number of US$ is taken to the nearest nano-dollar", "[money]") {
  const auto [usd, nano] = GENERATE(table<double, std::uint64_t>({
      {0, 0},
      {-1, 0},
      {std::nan(""), 0},
      {0.4e-9, 0},
      {0.6e-9, 1},
      {0.02, 20'000'000},
      {1.5, 1'500'000'000},
      {1e6, 1'000'000'000'000'000},
      {9e9, 9'000'000'000'000'000'000},
      {1e300, 9'000'000'000'000'000'000},
  }));
  CAPTURE(usd);
  CHECK(Usd::from_usd(usd) == nano_usd(nano));
}

TEST_CASE("every budget comes back from its number of US$ as it was", "[money]") {
  for (const std::uint64_t nano :
       {std::uint64_t{1}, std::uint64_t{123'456'789}, std::uint64_t{999'999'999'999'999}}) {
    CHECK(Usd::from_usd(nano_usd(nano).usd()) == nano_usd(nano));
    CHECK(usd_of(usd_or_null(nano_usd(nano))) == nano_usd(nano));
  }
  CHECK(Usd::from_usd(usd_max.usd()) == usd_max);
}

TEST_CASE("a sum that does not fit is the most that does", "[money]") {
  const Usd all = nano_usd(std::numeric_limits<std::uint64_t>::max());
  CHECK(nano_usd(1) + nano_usd(2) == nano_usd(3));
  CHECK(all - nano_usd(1) + nano_usd(1) == all);
  CHECK(all + nano_usd(1) == all);
  CHECK(all + all == all);
}

TEST_CASE("no more is taken away than there is", "[money]") {
  CHECK(nano_usd(3) - nano_usd(3) == Usd{});
  CHECK_THROWS_AS(nano_usd(3) - nano_usd(4), std::out_of_range);
}

TEST_CASE("money is printed with as many digits as are asked for", "[money]") {
  CHECK(in_dollars(nano_usd(1'234'567'890), 4) == "$1.2346");
  CHECK(in_dollars(nano_usd(1'234'567'890), 6) == "$1.234568");
  CHECK(in_dollars(Usd{}, 4) == "$0.0000");
  CHECK(in_dollars(usd_max, 4) == "$1000000.0000");
}

TEST_CASE("no money is null in JSON, and what is no number is no money", "[money]") {
  CHECK(usd_or_null(Usd{}).is_null());
  CHECK(usd_or_null(nano_usd(2'500'000'000)).dump() == "2.5");
  CHECK(usd_of(2) == nano_usd(2'000'000'000));
  CHECK(usd_of("2") == Usd{});
  CHECK(usd_of(nullptr) == Usd{});
  CHECK(usd_of(-2) == Usd{});
}

} // namespace usd_test
