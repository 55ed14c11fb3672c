// Which parts gather in a call, for how many calls there is room, and in which order calls leave.
#include "actors/supervisor/offers.hpp"

#include "tests/unit/actors/supervisor/parts/counted_parts.hpp"
#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <catch2/catch.hpp>

namespace offers_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using supervisor_test::MemorySource;

namespace {

const Time now = time_from_ns(0) + std::chrono::hours{1};
const CallId first = CallId::of(Epoch{3}, JobId{7}, 41);
constexpr std::uint64_t much = 1u << 20;

struct WholeItems final : supervisor_test::CountedParts {
  std::uint32_t count_of(std::uint64_t) const override { return 1; }
};
const WholeItems whole_items;

std::string line_of(std::string_view model) {
  return fmt::format(
      R"({{"custom_id":"a","url":"/v1/embeddings","body":{{"model":"{}","input":"a"}}}})", model);
}
PartId part(std::uint64_t item) {
  return {JobId{7}, item, 0};
}
using Ids = std::vector<PartId>;

struct Desk {
  JobSpec spec;
  Offers offers{JobId{7}, spec, {}, whole_items, first};
  OpenPart open; // any

  explicit Desk(std::uint32_t parts_in_a_call = 1) {
    offers.packing().told({{"small", parts_in_a_call, 0}});
  }
  AskedPart ask(std::uint64_t item, std::string_view model = "small") const {
    auto asked = offers.plan(part(item), open, {ItemKind::batch_line, line_of(model)});
    REQUIRE(asked);
    return std::move(*asked);
  }
  CallId add(std::uint64_t item) { return offers.add(ask(item), open); }
};

} // namespace

TEST_CASE("there is room for as many calls as are wanted, one that gathers included") {
  Desk desk{2};
  CHECK_FALSE(desk.offers.has_room());
  desk.offers.may_make(0, 2, much);
  CHECK(desk.offers.next_call() == first);
  CHECK(desk.add(0) == first);
  REQUIRE(desk.offers.take(Offers::Which::all));
  CHECK(desk.offers.has_room()); // for the second of two
  CHECK(desk.add(1).n() == first.n() + 1);
  CHECK(desk.offers.has_room()); // beside it
  CHECK(desk.add(2).n() == first.n() + 1);
  REQUIRE(desk.offers.take(Offers::Which::all));
  CHECK_FALSE(desk.offers.has_room());
  CHECK(desk.offers.next_call().n() == first.n() + 2);
  CHECK_FALSE(desk.offers.take(Offers::Which::all)); // none has gathered
}

TEST_CASE(
    "a call may be larger than the room in bytes, and what it took too much is missing later") {
  Desk measured;
  measured.offers.may_make(0, 1, much);
  measured.add(0);
  const std::uint64_t bytes = measured.offers.take(Offers::Which::all)->bytes();
  const auto [room, more, has_room] = GENERATE(table<int, std::uint64_t, bool>({
      {-1, 0, false},
      {0, 0, false},
      {1, 0, true},
      {-1, 1, false},
      {-1, 2, true},
      {0, 1, true},
  }));
  CAPTURE(room, more);
  Desk desk;
  desk.offers.may_make(0, 2, static_cast<std::uint64_t>(static_cast<std::int64_t>(bytes) + room));
  desk.add(0);
  REQUIRE(desk.offers.take(Offers::Which::all));
  desk.offers.may_make(0, 0, more);
  CHECK(desk.offers.has_room() == has_room);
}

TEST_CASE("a call is full with as many parts as are taken, or as one of them may be among") {
  const auto [parts, company, full] = GENERATE(table<std::uint64_t, std::uint32_t, bool>({
      {1, 9, false},
      {2, 9, false},
      {3, 9, true},
      {1, 2, false},
      {2, 2, true},
      {1, 1, true},
  }));
  CAPTURE(parts, company);
  Desk desk{3};
  desk.open.company = company;
  desk.offers.may_make(0, 1, much);
  CHECK(desk.offers.takes(desk.ask(9), desk.open)); // a new one takes anybody
  CHECK_FALSE(desk.offers.is_gathering());
  for (std::uint64_t item = 0; item < parts; ++item) desk.add(item);
  CHECK(desk.offers.is_gathering() == !full);
  CHECK(desk.offers.takes(desk.ask(9), desk.open) == !full);
  OpenPart alone;
  alone.suspicions = suspicions_alone;
  CHECK_FALSE(desk.offers.takes(desk.ask(9), alone));
  CHECK(desk.offers.take(Offers::Which::full).has_value() == full);
}

TEST_CASE("kinds that take turns gather side by side, as far as there is room for their calls") {
  Desk desk{3};
  desk.offers.packing().told({{"large", 3, 6}});
  desk.offers.may_make(0, 2, much);
  const CallId small = desk.add(0), large = desk.offers.add(desk.ask(1, "large"), desk.open);
  CHECK(small != large);
  CHECK(desk.add(2) == small);
  CHECK(desk.offers.add(desk.ask(3, "large"), desk.open) == large);
  CHECK(desk.offers.has_room(part(4)));
  CHECK_FALSE(desk.offers.takes(desk.ask(4, "other"), desk.open)); // a third call
  CHECK(desk.add(5) == small);
  const auto full = desk.offers.take(Offers::Which::full);
  REQUIRE(full);
  CHECK(full->planned.call == small);
  CHECK_FALSE(desk.offers.take(Offers::Which::full));
  CHECK(desk.offers.take(Offers::Which::all)->planned.part_ids() == Ids{part(1), part(3)});
  CHECK_FALSE(desk.offers.take(Offers::Which::all));
}

TEST_CASE("of calls that gather side by side one is a trial") {
  Desk desk{1};
  desk.offers.packing().told({{"small", 2, 4}});
  desk.offers.may_make(0, 9, much);
  OpenPart failed;
  failed.failed_at = {EndpointId{4}};
  for (std::uint64_t n = 0; n < 4; ++n) {
    desk.add(n);
    desk.offers.add(desk.ask(10 + n), failed);
  }
  std::vector<std::size_t> sizes;
  while (const auto call = desk.offers.take(Offers::Which::all))
    sizes.push_back(call->planned.parts.size());
  CHECK(sizes == std::vector<std::size_t>{4, 2, 2});
}

TEST_CASE("a call that has no room for the next of its kind gathers no more") {
  Desk desk{1};
  desk.offers.packing().told({{"small", 1, 4, 0, 200}}); // two have more tokens
  desk.offers.may_make(0, 9, much);
  const CallId first = desk.add(0), second = desk.add(1);
  CHECK(first != second);
  const auto full = desk.offers.take(Offers::Which::full);
  REQUIRE(full);
  CHECK(full->planned.call == first);
  CHECK_FALSE(desk.offers.take(Offers::Which::full)); // it may yet become a trial
  CHECK(desk.offers.is_gathering());
}

TEST_CASE("no more calls gather side by side than a few") {
  Desk desk{3};
  desk.offers.may_make(0, 99, much);
  std::uint64_t kinds = 0;
  for (; desk.offers.takes(desk.ask(kinds), desk.open); ++kinds) {
    REQUIRE(kinds < 99);
    desk.open.failed_at = {EndpointId{static_cast<std::uint32_t>(kinds) + 1}};
    desk.add(kinds);
    desk.open.failed_at = {EndpointId{99}};
  }
  CHECK(kinds == 16);
}

TEST_CASE("parts go together that ask for one model and have failed at the same endpoints") {
  JobSpec spec;
  spec.policy.fallback_model = "other";
  Offers offers{JobId{7}, spec, {}, whole_items, first};
  offers.packing().told({{"small", 3, 0}, {"other", 3, 0}});
  offers.may_make(0, 1, much);
  OpenPart open, failed, on_fallback;
  failed.failed_at = {EndpointId{4}};
  on_fallback.tally.on_fallback = true;
  const auto ask = [&](const OpenPart& of) {
    return *offers.plan(part(1), of, {ItemKind::batch_line, line_of("small")});
  };
  offers.add(ask(failed), failed);
  CHECK(offers.takes(ask(failed), failed));
  CHECK_FALSE(offers.takes(ask(open), open));
  on_fallback.failed_at = failed.failed_at;
  CHECK_FALSE(offers.takes(ask(on_fallback), on_fallback));
  CHECK(offers.take(Offers::Which::all)->failed_at == failed.failed_at);
}

TEST_CASE("a second call has the parts of the first, and goes where nothing of them has failed") {
  JobSpec spec = supervisor_test::spec_of();
  MemorySource source;
  source.inputs = {supervisor_test::good_lines(2)};
  Reader reader{spec, source, {}, 0};
  reader.look_ahead(false, now, [](const intake::Item&) {});
  PartLedger ledger;
  Call call;
  call.endpoint = EndpointId{5};
  while (const auto item = reader.next(now)->item) {
    OpenPart open;
    open.state = Out{CallId{1}};
    open.place = item->place;
    if (item->ordinal == 0) open.failed_at = {EndpointId{4}};
    ledger.add(part(item->ordinal), open);
    call.parts.push_back(part(item->ordinal));
  }
  REQUIRE(call.parts.size() == 2);
  const JobParts parts{spec};
  Offers offers{JobId{7}, spec, {}, parts, first};
  offers.may_make(0, 1, much);
  SECTION("with a number of its own") {
    const auto second = offers.second(call, ledger, reader);
    REQUIRE(second);
    CHECK(second->planned.call == first);
    CHECK(second->planned.part_ids() == call.parts);
    CHECK(second->failed_at == std::vector{EndpointId{4}, EndpointId{5}});
    CHECK_FALSE(offers.has_room());
  }
  SECTION("but none is made of a part that cannot be read now") {
    source.broken = true;
    CHECK_FALSE(offers.second(call, ledger, reader));
    CHECK(offers.has_room());
    CHECK(offers.next_call() == first);
  }
}

TEST_CASE("calls that begin alike leave next to each other, in the place of the first of them") {
  using Prefixes = std::vector<std::uint64_t>;
  using Order = std::vector<std::uint64_t>;
  const auto [prefixes, order] = GENERATE(table<Prefixes, Order>({
      {{}, {}},
      {{0, 0, 0}, {0, 1, 2}}, // nothing is known
      {{5, 6, 5}, {0, 2, 1}},
      {{0, 6, 5, 6, 0, 5}, {0, 1, 3, 2, 5, 4}},
  }));
  std::vector<OfferedCall> calls;
  for (std::uint64_t n = 0; n < prefixes.size(); ++n) {
    calls.emplace_back().prefix = prefixes[n];
    calls.back().planned.call = CallId{n};
  }
  Order left;
  for (const OfferedCall& call : by_prefix(std::move(calls)))
    left.push_back(call.planned.call.value);
  CHECK(left == order);
}

} // namespace offers_test
