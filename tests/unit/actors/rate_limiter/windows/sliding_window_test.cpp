// The window of a limit against the sum of single charges that it stands for.
#include "actors/rate_limiter/windows/sliding_window.hpp"

#include "actors/kit/random.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace sliding_window_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

constexpr Duration hold = 60s;
constexpr Duration bucket = hold / 1'000;
const Time start = time_from_ns(0) + 1h;

// What the window stands for: every charge by itself, over after exactly the hold.
struct Reference {
  struct Charge {
    Time made, name;
    std::uint64_t amount;
  };
  std::vector<Charge> charges;

  std::uint64_t held(Time now, Duration for_long) const {
    std::uint64_t sum = 0;
    for (const Charge& c : charges)
      if (c.made + for_long > now) sum += c.amount;
    return sum;
  }
};

} // namespace

TEST_CASE("a sliding window takes up to its limit and not one more") {
  const auto [charged, amount, fits] = GENERATE(table<std::uint64_t, std::uint64_t, bool>({
      {0, 9, true},
      {0, 10, true},
      {0, 11, false},
      {9, 1, true},
      {9, 2, false},
      {10, 0, true},
      {10, 1, false},
  }));
  CAPTURE(charged, amount);
  SlidingWindow window{10, hold};
  if (charged > 0) window.charge(charged, start);
  CHECK(window.fits(amount) == fits);
}

TEST_CASE("a sliding window without a limit takes everything") {
  SlidingWindow window{0, hold};
  CHECK_FALSE(window.limited());
  window.charge(1'000'000'000, start);
  CHECK(window.fits(1'000'000'000));
  CHECK(window.when_fits(5, start) == start);
}

TEST_CASE("a charge counts for its whole hold and at most a bucket longer") {
  SlidingWindow window{10, hold};
  const Time made = start + 1ns;
  window.charge(10, made);
  window.advance(made + hold - 1ns);
  CHECK(window.held() == 10);
  window.advance(made + hold + bucket);
  CHECK(window.held() == 0);
}

TEST_CASE("a window says when an amount will fit") {
  SlidingWindow window{10, hold};
  const Time first = window.charge(4, start);
  const Time second = window.charge(6, start + 10s);
  CHECK(window.when_fits(0, start + 10s) == start + 10s);
  CHECK(window.when_fits(1, start + 10s) == first);
  CHECK(window.when_fits(4, start + 10s) == first);
  CHECK(window.when_fits(5, start + 10s) == second);
  CHECK(window.when_fits(10, start + 10s) == second);
  CHECK(window.when_fits(11, start + 10s) == never);
  window.advance(first);
  CHECK(window.fits(4));
  CHECK_FALSE(window.fits(5));
}

TEST_CASE("a refund frees what was charged, once, and nothing when the charge is over") {
  SlidingWindow window{10, hold};
  const Time name = window.charge(10, start);
  window.refund(4, name);
  CHECK(window.held() == 6);
  window.refund(100, name);
  CHECK(window.held() == 0);
  const Time over = window.charge(10, start);
  window.advance(over);
  window.charge(3, over);
  window.refund(10, over);
  CHECK(window.held() == 3);
}

TEST_CASE("charges of different holds are each over in their time") {
  SlidingWindow window{10, hold};
  window.charge_until(6, start + hold + 4s);
  window.charge(4, start);
  window.advance(start + hold + bucket);
  CHECK(window.held() == 6);
  window.advance(start + hold + 4s + bucket);
  CHECK(window.held() == 0);
}

TEST_CASE("a sliding window never understates and overstates by no more than a bucket's time") {
  const auto seed = GENERATE(range(1u, 9u));
  CAPTURE(seed);
  Random random{seed};
  SlidingWindow window{500, hold};
  Reference reference;
  Time now = start;
  for (int step = 0; step < 4'000; ++step) {
    now += random.between(0ns, 150ms);
    window.advance(now);
    const std::uint64_t amount = 1 + random.below(40);
    if (window.fits(amount)) {
      reference.charges.push_back({now, window.charge(amount, now), amount});
    } else {
      REQUIRE(window.when_fits(amount, now) > now);
    }
    if (!reference.charges.empty() && random.chance(0.3)) {
      auto& charge = reference.charges[random.below(reference.charges.size())];
      const std::uint64_t back = random.below(charge.amount + 1);
      window.refund(back, charge.name);
      // What is over for the window is history: a refund then changes nothing.
      if (charge.name > now) charge.amount -= back;
    }
    REQUIRE(window.held() >= reference.held(now, hold));
    REQUIRE(window.held() <= reference.held(now, hold + bucket));
    REQUIRE(reference.held(now, hold) <= window.amount_max());
  }
}

} // namespace sliding_window_test
