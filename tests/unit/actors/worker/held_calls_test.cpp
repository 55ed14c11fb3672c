// The calls a worker has without a permit: what is asked for, answered, delayed and asked again.
#include "actors/worker/held_calls.hpp"

#include <catch2/catch.hpp>

namespace held_calls_test {

using namespace gristmill;
using std::chrono::milliseconds;
using worker::HeldCalls;

namespace {

constexpr Time start = time_from_ns(1'000'000'000'000);
constexpr Duration repeat = milliseconds{500};

std::vector<CallId> ids(std::initializer_list<std::uint64_t> numbers) {
  std::vector<CallId> calls;
  for (const auto number : numbers) calls.push_back(CallId{number});
  return calls;
}

HeldCalls holding(std::initializer_list<std::uint64_t> numbers) {
  HeldCalls held;
  for (const auto number : numbers)
    held.add({CallId{number}, {{{JobId{1}, number, 0}, ItemKind::text, "12345"}}, {}});
  return held;
}

} // namespace

TEST_CASE("Held calls are asked for in the order in which they came, each once", "[held_calls]") {
  HeldCalls held = holding({3, 1, 2});
  CHECK(held.size() == 3);
  CHECK(held.bytes() == 3 * (128 + 5));
  CHECK(held.all() == ids({1, 2, 3}));
  CHECK(held.ask(2, Nonce{1}, start) == ids({3, 1}));
  CHECK(held.asked() == 2);
  CHECK(held.ask(5, Nonce{2}, start) == ids({2}));
  CHECK(held.ask(5, Nonce{3}, start).empty());
  CHECK(held.asked() == 3);
  CHECK(held.sent_at(Nonce{1}) == start);
  CHECK_FALSE(held.sent_at(Nonce{3}));
}

TEST_CASE("A call that comes twice is held once", "[held_calls]") {
  HeldCalls held = holding({1, 1});
  CHECK(held.size() == 1);
  CHECK(held.bytes() == 128 + 5);
  CHECK(held.ask(5, Nonce{1}, start) == ids({1}));
}

TEST_CASE("A call that is taken is gone with its bytes, and its Need ends with its last call",
          "[held_calls]") {
  HeldCalls held = holding({1, 2, 3});
  held.ask(2, Nonce{1}, start);
  const auto taken = held.take(CallId{1});
  REQUIRE(taken);
  CHECK(taken->parts[0].raw == "12345");
  CHECK(held.bytes() == 2 * taken->bytes());
  CHECK(held.asked() == 1);
  CHECK(held.sent_at(Nonce{1}));
  CHECK_FALSE(held.take(CallId{1}));
  CHECK(held.take(CallId{2}));
  CHECK_FALSE(held.sent_at(Nonce{1}));
  CHECK(held.asked() == 0);
  // One that was taken before it was asked for is not asked for.
  CHECK(held.take(CallId{3}));
  CHECK(held.ask(5, Nonce{2}, start).empty());
  CHECK(held.size() == 0);
  CHECK(held.bytes() == 0);
}

TEST_CASE("A waiting call is asked for again from its time on, before younger ones",
          "[held_calls]") {
  HeldCalls held = holding({1, 2, 3});
  held.ask(2, Nonce{1}, start);
  held.wait(Nonce{1}, ids({2, 1}), start + milliseconds{300});
  CHECK(held.asked() == 0);
  CHECK_FALSE(held.sent_at(Nonce{1}));
  CHECK(held.next_due(repeat) == start + milliseconds{300});
  held.advance(start + milliseconds{299}, repeat);
  CHECK(held.ask(1, Nonce{2}, start + milliseconds{299}) == ids({3}));
  held.advance(start + milliseconds{300}, repeat);
  CHECK(held.ask(5, Nonce{3}, start + milliseconds{300}) == ids({1, 2}));
}

TEST_CASE("An answer to another Need delays nothing", "[held_calls]") {
  HeldCalls held = holding({1, 2});
  held.ask(2, Nonce{1}, start);
  held.wait(Nonce{7}, ids({1, 2}), start + milliseconds{300});
  held.wait(Nonce{1}, ids({9}), start + milliseconds{300});
  CHECK(held.asked() == 2);
  CHECK(held.next_due(repeat) == start + repeat);
}

TEST_CASE("A Need without an answer is given up after its time, an answered one is not",
          "[held_calls]") {
  HeldCalls held = holding({1, 2, 3, 4});
  held.ask(2, Nonce{1}, start);
  held.ask(2, Nonce{2}, start + milliseconds{100});
  held.take(CallId{3});
  held.wait(Nonce{2}, ids({4}), start + std::chrono::seconds{9});
  CHECK(held.next_due(repeat) == start + repeat);
  held.advance(start + repeat - milliseconds{1}, repeat);
  CHECK(held.asked() == 2);
  held.advance(start + repeat, repeat);
  CHECK(held.asked() == 0);
  CHECK_FALSE(held.sent_at(Nonce{1}));
  CHECK(held.ask(5, Nonce{3}, start + repeat) == ids({1, 2}));
}

TEST_CASE("What was asked for in vain is asked for before others, even older ones",
          "[held_calls]") {
  HeldCalls held = holding({1, 2, 3, 4});
  held.ask(2, Nonce{1}, start);
  held.wait(Nonce{1}, ids({1, 2}), start + repeat);
  CHECK(held.ask(2, Nonce{2}, start) == ids({3, 4}));
  held.advance(start + repeat, repeat);
  CHECK(held.ask(2, Nonce{3}, start + repeat) == ids({3, 4}));
  CHECK(held.ask(2, Nonce{4}, start + repeat) == ids({1, 2}));
}

TEST_CASE("A call whose permit came back is the next to be asked for", "[held_calls]") {
  HeldCalls held = holding({1, 2, 3});
  held.ask(1, Nonce{1}, start);
  held.ready_again(CallId{1});
  held.ready_again(CallId{9}); // not held: nothing
  held.ready_again(CallId{3}); // ready already: keeps its place
  CHECK(held.asked() == 0);
  CHECK(held.ask(5, Nonce{2}, start) == ids({1, 2, 3}));
}

TEST_CASE("What is asked for ahead comes behind what could start, and waits for nothing",
          "[held_calls]") {
  HeldCalls held = holding({1, 2, 3, 4, 5});
  CHECK(held.ask(1, Nonce{1}, start, 3) == ids({1, 2, 3, 4}));
  CHECK(held.asked() == 4);
  held.wait(Nonce{1}, ids({1, 2, 3, 4}), start + milliseconds{100});
  CHECK(held.asked() == 0);
  CHECK(held.ask(9, Nonce{2}, start) == ids({2, 3, 4, 5})); // in their order, the first one waits
  CHECK(held.next_due(repeat) == start + milliseconds{100});
}

TEST_CASE("A call with a permit is not asked for until the permit is given back", "[held_calls]") {
  HeldCalls held = holding({1, 2});
  held.ask(2, Nonce{1}, start);
  held.permitted(CallId{1});
  CHECK(held.asked() == 1);
  CHECK_FALSE(held.lacks_permit(CallId{1}));
  CHECK(held.lacks_permit(CallId{2}));
  CHECK_FALSE(held.lacks_permit(CallId{3}));
  held.forget_needs();
  CHECK(held.ask(9, Nonce{2}, start) == ids({2}));
  held.ready_again(CallId{1});
  CHECK(held.lacks_permit(CallId{1}));
  CHECK(held.ask(9, Nonce{3}, start) == ids({1}));
}

TEST_CASE("When the connection is gone all that was asked for is ready again, what waits goes on",
          "[held_calls]") {
  HeldCalls held = holding({1, 2, 3, 4});
  held.ask(2, Nonce{1}, start);
  held.ask(1, Nonce{2}, start);
  held.wait(Nonce{1}, ids({1}), start + milliseconds{100});
  held.forget_needs();
  CHECK(held.asked() == 0);
  CHECK_FALSE(held.sent_at(Nonce{1}));
  CHECK_FALSE(held.sent_at(Nonce{2}));
  CHECK(held.ask(5, Nonce{3}, start) == ids({2, 3, 4}));
  held.advance(start + milliseconds{100}, repeat);
  CHECK(held.ask(5, Nonce{4}, start + milliseconds{100}) == ids({1}));
}

TEST_CASE("Nothing is due when nothing is asked for and nothing waits", "[held_calls]") {
  HeldCalls held = holding({1});
  CHECK(held.next_due(repeat) == never);
  held.ask(1, Nonce{1}, start);
  CHECK(held.next_due(repeat) == start + repeat);
  held.take(CallId{1});
  CHECK(held.next_due(repeat) == never);
}

} // namespace held_calls_test
