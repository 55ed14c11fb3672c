// Permits that were asked for ahead: how many a worker may have, and how long it may keep them.
#include "actors/worker/spare_permits.hpp"

#include <catch2/catch.hpp>

namespace spare_permits_test {

using namespace gristmill;
using std::chrono::milliseconds;
using std::chrono::seconds;
using worker::SparePermits;

namespace {

constexpr Time start = time_from_ns(1'000'000'000'000);
constexpr Duration ahead = milliseconds{20};

protocol::Permit permit(std::uint64_t call, std::uint32_t life_ms = 250) {
  return {CallId{call}, AttemptId::of(Epoch{3}, 1, call), EndpointId{7}, life_ms};
}

// So many calls a second have ended evenly, for so long.
Time end_calls(SparePermits& spares, double rate, Duration time) {
  const Duration every = from_seconds(1 / rate);
  Time now = start;
  for (; now < start + time; now += every) spares.ended(1, now);
  return now;
}

std::vector<CallId> calls_of(const std::vector<protocol::Permit>& permits) {
  std::vector<CallId> calls;
  for (const auto& p : permits) calls.push_back(p.call);
  return calls;
}

} // namespace

TEST_CASE("As many are asked for ahead as will find a slot in that time", "[spares]") {
  const auto [rate, least, most] = GENERATE(table<double, std::size_t, std::size_t>({
      {45, 0, 0}, // less than one in 20 ms
      {60, 1, 1},
      {1'250, 24, 25},
      {10'000, 199, 200},
  }));
  CAPTURE(rate);
  SparePermits spares{ahead};
  const Time now = end_calls(spares, rate, seconds{6});
  CHECK(spares.most(now) >= least);
  CHECK(spares.most(now) <= most);
  CHECK(spares.most(now + seconds{10}) == 0); // when no more calls end
}

TEST_CASE("Before a call has ended, and where none are wanted, there are no spares", "[spares]") {
  CHECK(SparePermits{ahead}.most(start) == 0);
  SparePermits none{Duration{}};
  CHECK(none.most(end_calls(none, 1'000, seconds{3})) == 0);
}

TEST_CASE("Who was told to wait asks for none ahead until then", "[spares]") {
  SparePermits spares{ahead};
  const Time now = end_calls(spares, 1'000, seconds{3});
  spares.told_to_wait(now + milliseconds{100});
  spares.told_to_wait(now + milliseconds{50}); // sooner says nothing new
  CHECK(spares.most(now + milliseconds{100} - Duration{1}) == 0);
  CHECK(spares.most(now + milliseconds{100}) > 0);
}

TEST_CASE("A spare permit goes back after half of its life, counted from its question",
          "[spares]") {
  const auto [life_ms, kept] = GENERATE(table<std::uint32_t, Duration>({
      {250, milliseconds{125}},
      {4'000, milliseconds{2'000}},
      {0, milliseconds{250}}, // it does not age
  }));
  CAPTURE(life_ms);
  SparePermits spares{ahead};
  const Time now = end_calls(spares, 1'000, seconds{3});
  CHECK(spares.add(permit(1, life_ms), now, now + kept - Duration{1}));
  CHECK(spares.next_due() == now + kept);
  CHECK(spares.take_unused(now + kept - Duration{1}).empty());
  CHECK(spares.most(now + milliseconds{1}) > 0);
  CHECK(calls_of(spares.take_unused(now + kept)) == std::vector<CallId>{CallId{1}});
  CHECK(spares.empty());
  CHECK_FALSE(spares.next());
  CHECK(spares.next_due() == never);
  // It was one too many: there are no more of them for a while.
  spares.ended(5'000, now + kept);
  CHECK(spares.most(now + kept + SparePermits::rests_for - Duration{1}) == 0);
  spares.ended(5'000, now + kept + SparePermits::rests_for);
  CHECK(spares.most(now + kept + SparePermits::rests_for) > 0);
}

TEST_CASE("A permit that comes when it would have to go back is none to keep", "[spares]") {
  SparePermits spares{ahead};
  const Time now = end_calls(spares, 1'000, seconds{3});
  CHECK_FALSE(spares.add(permit(1), now, now + milliseconds{125}));
  CHECK(spares.empty());
  CHECK(spares.most(now + milliseconds{125}) == 0);
}

TEST_CASE("Spares are used in the order in which they came, each once", "[spares]") {
  SparePermits spares{ahead};
  for (std::uint64_t call : {3, 1, 2, 4}) CHECK(spares.add(permit(call), start, start));
  CHECK(spares.take(CallId{1}) == permit(1).attempt);
  CHECK_FALSE(spares.take(CallId{1}));
  CHECK(spares.size() == 3);
  const auto first = spares.next();
  REQUIRE(first);
  CHECK(first->permit.call == CallId{3});
  CHECK(first->not_after == start + milliseconds{250});
  CHECK(calls_of(spares.take_all()) == std::vector<CallId>{CallId{2}, CallId{4}});
  CHECK(spares.empty());
}

TEST_CASE("Of several only those go back whose time is over", "[spares]") {
  SparePermits spares{ahead};
  CHECK(spares.add(permit(1, 0), start, start));
  CHECK(spares.add(permit(2), start, start));
  CHECK(calls_of(spares.take_unused(start + milliseconds{125})) == std::vector<CallId>{CallId{2}});
  CHECK(spares.next_due() == start + milliseconds{250});
  CHECK(spares.next()->not_after == never);
}

} // namespace spare_permits_test
