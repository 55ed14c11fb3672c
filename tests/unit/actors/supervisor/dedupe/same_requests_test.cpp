// Which of the parts that ask the same is looked up or called, which ones follow it, and how much
// is looked up at a time.
#include "actors/supervisor/same_requests.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <utility>

namespace same_requests_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using Role = SameRequests::Role;

namespace {

PartId part(std::uint64_t item) {
  return {JobId{7}, item, 0};
}
using Parts = std::vector<PartId>;

RequestKey key_of(char byte) {
  RequestKey key;
  key.bytes.fill(byte);
  return key;
}
const RequestKey a = key_of('a'), b = key_of('b');

LookUp look_up(std::uint64_t item, std::size_t raw_bytes = 0) {
  LookUp asked;
  asked.part = part(item);
  asked.raw = std::string(raw_bytes, 'x');
  return asked;
}
std::vector<std::uint64_t> items_of(const std::vector<LookUp>& asked) {
  std::vector<std::uint64_t> items;
  for (const LookUp& one : asked) items.push_back(one.part.item);
  return items;
}
using Items = std::vector<std::uint64_t>;

struct Same : SameRequests {
  Same() : SameRequests{true} {}

  Role comes(std::uint64_t item, const RequestKey& key = a) {
    return SameRequests::comes(part(item), key);
  }
  bool leads(std::uint64_t item, const RequestKey& key = a) {
    return SameRequests::leads(part(item), key);
  }
  bool is_led_by(std::uint64_t item, const RequestKey& key = a) const {
    return SameRequests::is_led_by(part(item), key);
  }
  // The next leader if only these items follow still, in the order in which it is found.
  std::optional<std::uint64_t> next_leader(Items following, const RequestKey& key = a) {
    const auto next = SameRequests::next_leader(
        key, [&](const PartId& other) { return std::ranges::count(following, other.item) > 0; });
    return next ? std::optional{next->item} : std::nullopt;
  }
  Items take() { return items_of(take_look_ups()); }
};

} // namespace

TEST_CASE("it is on if the job wants it") {
  CHECK(SameRequests{true}.is_on());
  CHECK_FALSE(SameRequests{false}.is_on());
}

TEST_CASE("the first that asks is looked up, and the others follow it whenever they come") {
  Same same;
  CHECK(same.comes(0) == Role::looks_up);
  CHECK(same.comes(1) == Role::follows);
  CHECK(same.comes(5, b) == Role::looks_up);
  CHECK(same.leads(0));
  CHECK(same.comes(2) == Role::follows);
  CHECK(same.comes(6, b) == Role::follows);
  CHECK(same.is_led_by(0));
  CHECK(same.is_led_by(5, b));
  CHECK_FALSE(same.is_led_by(1));
  CHECK_FALSE(same.is_led_by(0, b));
  CHECK_FALSE(same.is_led_by(0, key_of('c')));
  CHECK(same.take_followers(a) == Parts{part(1), part(2)});
  CHECK(same.take_followers(b) == Parts{part(6)});
}

TEST_CASE("a leader is looked up once, however often it is called") {
  Same same;
  CHECK(same.comes(0) == Role::looks_up);
  CHECK(same.comes(0) == Role::looks_up); // nobody has said yet that nothing is found
  CHECK(same.leads(0));
  CHECK(same.comes(0) == Role::leads);
  CHECK(same.comes(0) == Role::leads);
  CHECK(same.take_followers(a).empty()); // it does not follow itself
}

TEST_CASE("who finds nothing while nobody leads is called, and the next one follows it") {
  Same same;
  CHECK(same.leads(3));
  CHECK(same.comes(3) == Role::leads);
  CHECK_FALSE(same.leads(4));
  CHECK_FALSE(same.leads(5));
  CHECK(same.is_led_by(3));
  CHECK(same.take_followers(a) == Parts{part(4), part(5)});
}

TEST_CASE("who finds nothing while another one is looked up follows, and that one is not called") {
  Same same;
  CHECK(same.comes(0) == Role::looks_up);
  CHECK_FALSE(same.leads(1));
  CHECK(same.comes(0) == Role::looks_up);
  CHECK(same.take_followers(a) == Parts{part(1)});
}

TEST_CASE("when the followers are taken nobody leads, and the next that comes is looked up") {
  Same same;
  same.comes(0);
  same.leads(0);
  same.comes(1);
  CHECK(same.take_followers(a) == Parts{part(1)});
  CHECK(same.take_followers(a).empty());
  CHECK_FALSE(same.is_led_by(0));
  CHECK(same.comes(2) == Role::looks_up);
  CHECK(same.is_led_by(2));
}

TEST_CASE("the followers end as their leader did, one after the other, and nobody leads any more") {
  Same same;
  for (const std::uint64_t item : {0, 1, 2}) same.comes(item);
  protocol::Reply reply;
  reply.code = "wrong";
  CHECK_FALSE(same.has_ends());
  same.end_alike(a, {reply, "http://a"});
  for (const std::uint64_t item : {1, 2}) {
    REQUIRE(same.has_ends());
    const auto end = same.take_end();
    CHECK(end.part == part(item));
    CHECK(end.as->reply.code == "wrong");
    CHECK(end.as->endpoint == "http://a");
  }
  CHECK_FALSE(same.has_ends());
  CHECK(same.comes(3) == Role::looks_up);
}

TEST_CASE("the next leader is the first that still follows, and it is looked up again") {
  Same same;
  same.comes(0);
  same.leads(0);
  for (const std::uint64_t item : {1, 2, 3, 4}) same.comes(item);
  CHECK(same.next_leader({3, 4}) == 3); // 1 and 2 have ended, or are called by a claim
  CHECK(same.is_led_by(3));
  CHECK(same.comes(3) == Role::looks_up);
  CHECK(same.leads(3));
  CHECK(same.comes(3) == Role::leads);
  CHECK(same.take_followers(a) == Parts{part(4)});
}

TEST_CASE("where nobody follows any more nobody leads") {
  Same same;
  CHECK_FALSE(same.next_leader({0}));
  same.comes(0);
  same.comes(1);
  CHECK_FALSE(same.next_leader({}));
  CHECK_FALSE(same.is_led_by(0));
  CHECK_FALSE(same.is_led_by(1));
  CHECK(same.comes(9) == Role::looks_up);
  CHECK_FALSE(same.next_leader({1})); // it is forgotten
}

TEST_CASE("of those that may be being called the first leads, and the others only if they come") {
  Same same;
  same.expect(part(0), a);
  same.expect(part(1), a);
  CHECK(same.is_led_by(0));
  CHECK(same.comes(2) == Role::follows);  // it is read behind them
  CHECK(same.comes(0) == Role::looks_up); // nobody has claimed its call
  CHECK(same.comes(1) == Role::follows);
  CHECK(same.take_followers(a) == Parts{part(2), part(1)});
}

TEST_CASE("one that is expected does not take the lead") {
  Same same;
  same.comes(0);
  same.leads(0);
  same.expect(part(1), a);
  CHECK(same.is_led_by(0));
  CHECK(same.comes(0) == Role::leads);
  CHECK(same.take_followers(a).empty());
}

TEST_CASE("whose call is claimed leads, and is called again without being looked up") {
  Same same;
  same.expect(part(0), a);
  same.comes(2);
  same.is_called(part(1), a);
  CHECK(same.is_led_by(1));
  CHECK(same.comes(0) == Role::follows); // who led without a call
  CHECK(same.comes(1) == Role::leads);
  CHECK(same.take_followers(a) == Parts{part(2), part(0)});
  same.is_called(part(3), b); // of which nobody has heard
  CHECK(same.comes(3, b) == Role::leads);
}

TEST_CASE("whose call is claimed while it is looked up leads whatever is found") {
  Same same;
  same.comes(0);
  same.is_called(part(1), a);
  CHECK_FALSE(same.leads(0));
  CHECK(same.take_followers(a) == Parts{part(0)});
}

TEST_CASE("two batches of look-ups are asked for at a time") {
  Same same;
  CHECK(same.take().empty());
  for (const std::uint64_t item : {0, 1}) same.look_up(look_up(item));
  CHECK(same.take() == Items{0, 1});
  same.look_up(look_up(2));
  CHECK(same.take() == Items{2});
  for (const std::uint64_t item : {3, 4}) same.look_up(look_up(item));
  CHECK(same.take().empty());
  same.looked_up({});
  CHECK(same.take() == Items{3, 4});
  same.looked_up({});
  CHECK(same.take().empty());
  same.look_up(look_up(5)); // asking for nothing is no batch
  CHECK(same.take() == Items{5});
  for (int n = 0; n < 4; ++n) same.looked_up({}); // also of a room before ours
  for (const std::uint64_t item : {6, 7}) {
    same.look_up(look_up(item));
    CHECK(same.take() == Items{item});
  }
}

TEST_CASE("a look-up carries what it was asked with") {
  Same same;
  LookUp asked = look_up(0, 10);
  asked.kind = ItemKind::json_object;
  same.look_up(std::move(asked));
  const auto taken = same.take_look_ups();
  REQUIRE(taken.size() == 1);
  CHECK(taken[0].kind == ItemKind::json_object);
  CHECK(taken[0].raw == std::string(10, 'x'));
}

TEST_CASE("what no slice had room for is asked for again, before what came meanwhile") {
  Same same;
  for (const std::uint64_t item : {0, 1, 2, 3}) same.look_up(look_up(item));
  CHECK(same.take() == Items{0, 1, 2, 3});
  for (const std::uint64_t item : {4, 5}) same.look_up(look_up(item));
  same.looked_up({look_up(2), look_up(3)});
  CHECK(same.take() == Items{2, 3, 4, 5});
}

TEST_CASE("at its bound of look-ups that wait no more parts should come") {
  constexpr std::size_t most = 4'096;
  Same same;
  for (std::size_t n = 0; n + 1 < most; ++n) same.look_up(look_up(n));
  CHECK(same.has_room());
  same.look_up(look_up(most));
  CHECK_FALSE(same.has_room());
  same.look_up(look_up(most + 1)); // followers come all the same
  CHECK_FALSE(same.has_room());
  CHECK(same.take().size() == most);
  CHECK(same.has_room()); // those that are with the joiner wait no more
}

TEST_CASE("at its bound of bytes that wait no more parts should come") {
  constexpr std::size_t most = 8u << 20;
  const std::size_t bytes = GENERATE_COPY(most - 1, most, most + 1);
  CAPTURE(bytes);
  Same same;
  same.look_up(look_up(0, bytes / 2));
  CHECK(same.has_room());
  same.look_up(look_up(1, bytes - bytes / 2));
  CHECK(same.has_room() == (bytes < most));
  std::vector<LookUp> taken = same.take_look_ups();
  CHECK(same.has_room());
  same.looked_up(std::move(taken)); // for none of them was room
  CHECK(same.has_room() == (bytes < most));
  taken = same.take_look_ups();
  CHECK(same.has_room());
  taken.resize(1);
  same.looked_up(std::move(taken));
  CHECK(same.has_room());
}

TEST_CASE("what comes back counts among what waits") {
  constexpr std::size_t most = 4'096;
  Same same;
  for (std::size_t n = 0; n < 3; ++n) same.look_up(look_up(n));
  std::vector<LookUp> rest = same.take_look_ups();
  rest.erase(rest.begin());
  for (std::size_t n = 2; n < most; ++n) same.look_up(look_up(n));
  CHECK(same.has_room());
  same.looked_up(std::move(rest));
  CHECK_FALSE(same.has_room());
}

} // namespace same_requests_test
