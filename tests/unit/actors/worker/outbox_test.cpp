// Outcomes that are not recorded yet: what keeps them and what they weigh.
#include "actors/worker/outbox.hpp"

#include <catch2/catch.hpp>

namespace outbox_test {

using namespace gristmill;

namespace {

AttemptId attempt(std::uint64_t n) {
  return AttemptId::of(Epoch{1}, 1, n);
}

protocol::Outcome outcome(std::uint64_t n, std::string body) {
  protocol::Outcome outcome;
  outcome.attempt = attempt(n);
  outcome.body = std::move(body);
  return outcome;
}

} // namespace

TEST_CASE("An outcome stays in the outbox until it is removed by its attempt", "[outbox]") {
  worker::Outbox outbox;
  CHECK(outbox.empty());
  outbox.add(outcome(2, "b"));
  outbox.add(outcome(1, "a"));
  CHECK(outbox.size() == 2);
  CHECK(outbox.outcomes().begin()->second.body == "a"); // the oldest attempt first
  outbox.remove(attempt(3));
  CHECK(outbox.size() == 2);
  outbox.remove(attempt(1));
  CHECK(outbox.size() == 1);
  CHECK(outbox.outcomes().contains(attempt(2)));
  outbox.remove(attempt(2));
  CHECK(outbox.empty());
}

TEST_CASE("The outbox weighs what its outcomes weigh, and nothing once they are gone", "[outbox]") {
  worker::Outbox outbox;
  const auto small = outcome(1, "x"), big = outcome(2, std::string(10'000, 'x'));
  const std::size_t all = small.bytes() + big.bytes();
  outbox.add(small);
  outbox.add(big);
  CHECK(outbox.bytes() == all);
  outbox.remove(attempt(2));
  outbox.remove(attempt(2));
  CHECK(outbox.bytes() == small.bytes());
  outbox.remove(attempt(1));
  CHECK(outbox.bytes() == 0);
}

TEST_CASE("An outcome that comes twice is kept and weighed once", "[outbox]") {
  worker::Outbox outbox;
  outbox.add(outcome(1, "first"));
  outbox.add(outcome(1, "the second, which is longer"));
  CHECK(outbox.size() == 1);
  CHECK(outbox.outcomes().begin()->second.body == "first");
  CHECK(outbox.bytes() == outcome(1, "first").bytes());
  outbox.remove(attempt(1));
  CHECK(outbox.bytes() == 0);
}

} // namespace outbox_test
