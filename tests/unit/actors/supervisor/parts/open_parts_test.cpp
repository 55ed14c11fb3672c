// Which part is with which call: calls that end, second calls, claims after a restart.
#include "actors/supervisor/open_parts.hpp"

#include "actors/kit/check.hpp"

#include <catch2/catch.hpp>

namespace open_parts_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;
constexpr JobId job{7};
constexpr Epoch epoch{3};
constexpr EndpointId at{4};
const CallId one = CallId::of(epoch, job, 1), two = CallId::of(epoch, job, 2);
const CallId old_one = CallId::of(Epoch{2}, job, 1), old_two = CallId::of(Epoch{2}, job, 2);

PartId part(std::uint64_t item, std::uint32_t number = 0) {
  return {job, item, number};
}
intake::Item item_of(std::uint64_t number) {
  intake::Item item;
  item.ordinal = number;
  item.place = {0, number * 100, 100, number + 1, ItemKind::batch_line};
  item.id = "doc";
  return item;
}
protocol::Claim claim(CallId call, Parts parts) {
  return {call, AttemptId::of(Epoch{2}, 1, 1), std::move(parts), at};
}

struct Desk {
  OpenParts parts{job, epoch};
  ~Desk() {
    parts.invariant();
    CHECK_NOTHROW(parts.walk());
  }
  // Items from `from` on, in one call.
  Parts out(CallId call, std::uint64_t count = 1, std::uint64_t from = 0) {
    Parts carried;
    for (std::uint64_t n = from; n < from + count; ++n) {
      parts.open(part(n), item_of(n), Out{});
      parts.set_out(part(n), call);
      carried.push_back(part(n));
    }
    parts.open_call(call, carried);
    return carried;
  }
  // An item that a worker may be calling.
  void expected(std::uint64_t item) {
    parts.open(part(item), item_of(item), supervisor::Unknown{});
  }
  const OpenPart& open(std::uint64_t item) const { return parts.at(part(item)); }
  CallId with(std::uint64_t item) const { return open(item).call(); }
  OpenParts::Loss lose(CallId call, bool died = true, bool alone = true) {
    return parts.lost({call, true, died, alone}, now);
  }
};

} // namespace

// ---- reading

TEST_CASE("an item is one part, or several but for those that ended in an earlier life") {
  RecoveredParts recovered;
  recovered.ended[1].answered = {{0, 0}};
  recovered.ended[1].failed = {2};
  recovered.ended[2].answered = {{0, 0}, {1, 0}};
  OpenParts parts{job, epoch, {}, recovered};
  CHECK(parts.divide(item_of(0), {}, 9) == Parts{part(0)});
  CHECK(parts.ledger().divided(0) == nullptr);
  CHECK(parts.divide(item_of(1), {.parts = 3}, 9) == Parts{part(1, 1)});
  CHECK(parts.divide(item_of(2), {.parts = 2}, 9).empty()); // it is to be joined
  CHECK(parts.ledger().divided(2)->is_over());
}

TEST_CASE("few parts of an item are open at a time, and further ones as those end") {
  constexpr std::uint32_t most = 8, count = most + 4;
  const bool grace = GENERATE(false, true); // an earlier life may have opened them, too
  OpenParts parts{job, epoch};
  if (!grace) parts.grace_over(now);
  const Parts first = parts.divide(item_of(0), {.parts = count, .open_most = most}, 100);
  REQUIRE(first.size() == most);
  for (const PartId& part : first) parts.open(part, item_of(0), Ready{now, {}});
  parts.open_more(now);
  CHECK(parts.ledger().live_count() == most);
  parts.end(part(0, 5));
  parts.end(part(0, 6));
  parts.open_more(now);
  CHECK(parts.ledger().live_count() == most);
  CHECK(parts.at(part(0, most + 1)).is_unknown() == grace);
  if (!grace) CHECK(parts.at(part(0, most + 1)).not_before() == now);
  CHECK(parts.find(part(0, most + 2)) == nullptr);
  SECTION("one that a worker names is opened before its turn") {
    CHECK(parts.open_named(part(0, most + 2), now));
    CHECK(parts.at(part(0, most + 2)).is_unknown() == grace);
    CHECK_FALSE(parts.open_named(part(0, most + 2), now)); // it is open
    CHECK_FALSE(parts.open_named(part(0, count), now));    // there is none
  }
  SECTION("where there is no room, they are opened later") {
    CHECK(parts.divide(item_of(1), {.parts = 2}, 0).empty());
    CHECK_FALSE(parts.ledger().divided(1)->is_over());
    parts.open_more(now);
    CHECK(parts.find(part(1, 1)) != nullptr);
  }
  SECTION("those that wait are dropped, and nobody has to answer them") {
    CHECK(parts.drop_waiting(0) == Parts{part(0, most + 2)}); // which says so
    CHECK(parts.drop_waiting(0).empty());
    CHECK(parts.ledger().has_ended(part(0, most + 3)));
    for (std::uint32_t n = 0; n < most + 3; ++n)
      if (n != 5 && n != 6) parts.end(part(0, n), n == most + 2);
    parts.open_more(now);
    CHECK(parts.go_on(0, 0, most, now).empty());
    CHECK(parts.ledger().divided(0)->is_over());
    CHECK(parts.ledger().divided(0)->ended() == count - 1);
  }
}

TEST_CASE("a part that opens knows its place and what an earlier life has noted of it") {
  RecoveredParts recovered;
  recovered.notes = {{part(5), 2, 1, 0, false}};
  OpenParts parts{job, epoch, {}, recovered};
  const OpenPart& open = parts.open(part(5), item_of(5), supervisor::Unknown{});
  CHECK(open.id == "doc");
  CHECK(open.place.offset == 500);
  CHECK(open.tally.consumed == 2);
  CHECK(open.tally.deaths == 1);
  CHECK(open.is_unknown());
}

TEST_CASE("a part that was looked at ahead is renamed when reading comes to it") {
  Desk desk;
  desk.expected(5);
  intake::Item item = item_of(6);
  item.id = "in.jsonl:7"; // its own is that of an item before it
  desk.parts.set_read(part(5), item);
  CHECK(desk.open(5).id == "in.jsonl:7");
  CHECK(desk.open(5).place.offset == 600);
  CHECK(desk.open(5).is_unknown());
}

TEST_CASE("another life reads on at the first item that is not terminal") {
  Desk desk;
  const InputPosition read{0, 300, 3, 3};
  desk.out(one, 3);
  CHECK(desk.parts.low(read).item == 0);
  desk.parts.gone(one, now);
  desk.parts.end(part(0));
  CHECK(desk.parts.low(read).item == 1);
  CHECK(desk.parts.low(read).offset == 100);
  CHECK(desk.parts.low(read).line == 1); // lines that are read before
  desk.parts.end(part(1));
  desk.parts.end(part(2));
  CHECK(desk.parts.low(read).item == 3);
  CHECK(desk.parts.low(read).offset == 300);
}

// ---- ends of calls

TEST_CASE("parts of a call that is gone wait at once, and it may yet be told of") {
  Desk desk;
  desk.out(one, 2);
  CHECK(desk.parts.gone(one, now) == Parts{part(0), part(1)});
  for (const std::uint64_t item : {0u, 1u}) {
    CHECK(desk.open(item).not_before() == now);
    CHECK(desk.parts.hears(part(item), one));
    CHECK_FALSE(desk.parts.hears(part(item), two));
  }
  CHECK(desk.parts.find(one) == nullptr);
  CHECK(desk.parts.gone(one, now).empty()); // told twice
}

TEST_CASE("parts whose call is gone stay with the other call of theirs, whichever it is") {
  const auto [lost, left] = GENERATE(table<CallId, CallId>({{one, two}, {two, one}}));
  Desk desk;
  desk.out(one, 2);
  desk.parts.open_second(one, two);
  CHECK(desk.parts.hears(part(0), one));
  CHECK(desk.parts.hears(part(0), two));
  CHECK(desk.parts.gone(lost, now).empty());
  CHECK(desk.with(0) == left);
  CHECK(desk.with(1) == left);
  CHECK_FALSE(desk.parts.hears(part(0), lost));
  desk.parts.walk();
  CHECK(desk.parts.gone(left, now).size() == 2);
}

TEST_CASE("a part that ended, or has gone to another call, does not come back with its old one") {
  Desk desk;
  desk.out(one, 3);
  desk.parts.end(part(0));
  desk.parts.again(part(1), one, now + 1s);
  CHECK(desk.parts.gone(one, now) == Parts{part(2)});
  CHECK(desk.open(1).not_before() == now + 1s);
}

TEST_CASE("calls that carry nothing else are withdrawn when another answers a part") {
  Desk desk;
  SECTION("both calls, of a part that ends") {
    desk.out(one);
    desk.parts.open_second(one, two);
    CHECK(desk.parts.withdraw_others(part(0), CallId{}) == Calls{one, two});
    desk.parts.end(part(0));
  }
  SECTION("the other one, when one has answered") {
    const auto [answered, other] = GENERATE(table<CallId, CallId>({{one, two}, {two, one}}));
    desk.out(one);
    desk.parts.open_second(one, two);
    CHECK(desk.parts.withdraw_others(part(0), answered) == Calls{other});
    desk.parts.end(part(0));
    desk.parts.close(answered);
  }
  SECTION("not one that carries others") {
    desk.out(one, 2);
    CHECK(desk.parts.withdraw_others(part(0), two).empty());
    desk.parts.end(part(0));
    CHECK(desk.parts.find(one)->parts == Parts{part(1)});
    CHECK(desk.parts.withdraw_others(part(1), two) == Calls{one});
    desk.parts.end(part(1));
  }
  SECTION("none of a part that waits") {
    desk.out(one);
    desk.parts.gone(one, now);
    CHECK(desk.parts.withdraw_others(part(0), CallId{}).empty());
  }
}

TEST_CASE("of a cancelled job what is with no call ends at once, and in the end all") {
  const bool out_too = GENERATE(false, true);
  Desk desk;
  desk.out(one);
  desk.out(two, 1, 1);
  desk.parts.gone(two, now);
  desk.expected(2);
  const OpenParts::Withdrawn withdrawn = desk.parts.withdraw_all(out_too);
  CHECK(withdrawn.parts == (out_too ? Parts{part(0), part(1), part(2)} : Parts{part(1), part(2)}));
  CHECK(withdrawn.calls == (out_too ? Calls{one} : Calls{}));
  for (const PartId& ends : withdrawn.parts) desk.parts.end(ends);
}

// ---- lost calls

TEST_CASE("a part that is alone at three deaths of workers is quarantined") {
  const int deaths = GENERATE(2, 3);
  Desk desk;
  desk.out(one);
  for (int n = 1; n < deaths; ++n) {
    CHECK(desk.lose(one).waiting == Parts{part(0)});
    desk.parts.set_out(part(0), one);
    desk.parts.open_call(one, {part(0)});
  }
  const OpenParts::Loss loss = desk.lose(one);
  CHECK(loss.died);
  CHECK(loss.parts == Parts{part(0)});
  CHECK(loss.quarantined.has_value() == (deaths == 3));
  CHECK(loss.waiting.size() == (deaths == 3 ? 0 : 1));
  CHECK(desk.open(0).tally.deaths == static_cast<std::uint32_t>(deaths));
}

TEST_CASE("a death says nothing of a call that was not alone, or has another, or was not made") {
  Desk desk;
  desk.out(one);
  for (int n = 0; n < 5; ++n) {
    CHECK_FALSE(desk.lose(one, true, false).quarantined);
    desk.parts.set_out(part(0), one);
    desk.parts.open_call(one, {part(0)});
  }
  SECTION("has another") {
    desk.parts.open_second(one, two);
    const OpenParts::Loss loss = desk.lose(one);
    CHECK_FALSE(loss.quarantined);
    CHECK(loss.waiting.empty());
    CHECK(desk.with(0) == two);
  }
  SECTION("was not made") {
    const OpenParts::Loss loss = desk.parts.lost({one, false, true, false}, now);
    CHECK_FALSE(loss.died);
    CHECK(desk.open(0).tally.deaths == 5);
  }
}

TEST_CASE("of several parts that were alone at a third death each goes by itself") {
  const int deaths = GENERATE(2, 3);
  Desk desk;
  const Parts carried = desk.out(one, 2);
  for (int n = 1; n <= deaths; ++n) {
    const OpenParts::Loss loss = desk.lose(one);
    CHECK_FALSE(loss.quarantined);
    CHECK(loss.waiting == carried);
    if (n == deaths) break;
    for (const PartId& out : carried) desk.parts.set_out(out, one);
    desk.parts.open_call(one, carried);
  }
  for (const std::uint64_t item : {0, 1})
    CHECK(desk.open(item).together() == (deaths == 3 ? 1 : ~0u));
}

TEST_CASE("a call that is not known is not lost") {
  Desk desk;
  const OpenParts::Loss loss = desk.lose(one);
  CHECK(loss.parts.empty());
  CHECK_FALSE(loss.died);
}

// ---- after a restart

TEST_CASE("a worker that claims a call goes on with its parts, wherever they have gone meanwhile") {
  Desk desk;
  SECTION("nobody knew") {
    desk.expected(0);
    CHECK(desk.parts.claimed(claim(old_one, {part(0)}), now).empty());
  }
  SECTION("it waits") {
    desk.out(one);
    desk.parts.gone(one, now);
    CHECK(desk.parts.claimed(claim(old_one, {part(0)}), now).empty());
  }
  SECTION("it is with another call, which is withdrawn") {
    desk.out(one);
    CHECK(desk.parts.claimed(claim(old_one, {part(0)}), now) == Calls{one});
    CHECK(desk.parts.find(one) == nullptr);
  }
  CHECK(desk.with(0) == old_one);
  CHECK(desk.parts.find(old_one)->begun_at == now);
  CHECK(desk.parts.claimed(claim(old_one, {part(0)}), now).empty()); // told twice
}

TEST_CASE("a claim of a call that is known, as the first or the second one, changes nothing") {
  const CallId claimed = GENERATE(one, two);
  Desk desk;
  desk.out(one);
  desk.parts.open_second(one, two);
  CHECK(desk.parts.claimed(claim(claimed, {part(0)}), now).empty());
  CHECK(desk.with(0) == one);
  CHECK(desk.parts.find(one)->other == two);
}

TEST_CASE("a claim says that a worker lives, and is in vain when all its parts have ended") {
  Desk desk;
  desk.out(one);
  desk.lose(one);
  CHECK(desk.open(0).tally.deaths == 1);
  desk.out(two, 1, 1);
  desk.parts.end(part(1));
  desk.parts.close(two);
  CHECK(desk.parts.claimed(claim(one, {part(0), part(1)}), now).empty());
  CHECK(desk.open(0).tally.deaths == 0);
  CHECK(desk.parts.claimed(claim(two, {part(1)}), now) == Calls{two});
}

TEST_CASE("an outcome that is kept takes its parts from nobody") {
  Desk desk;
  desk.expected(0);
  desk.out(one, 1, 1);
  desk.parts.kept(claim(old_one, {part(0), part(1)}));
  CHECK(desk.with(0) == old_one);
  CHECK(desk.with(1) == one);
  CHECK(desk.parts.find(old_one)->parts == Parts{part(0)});
}

TEST_CASE("an outcome that is kept comes, though the session that told of it was given up") {
  Desk desk;
  desk.expected(0);
  desk.parts.kept(claim(old_one, {part(0)}));
  CHECK(desk.parts.gone(old_one, now) == Parts{part(0)}); // its worker says Hello anew
  CHECK(desk.open(0).is_ready());
  desk.parts.kept(claim(old_two, {part(0)})); // of another call
  CHECK(desk.open(0).is_ready());
  desk.parts.kept(claim(old_one, {part(0)}));
  CHECK(desk.with(0) == old_one);
}

TEST_CASE("of two kept outcomes of a part the later call's decides, whoever tells first") {
  const auto [first, second] =
      GENERATE(table<CallId, CallId>({{old_one, old_two}, {old_two, old_one}}));
  Desk desk;
  desk.expected(0);
  desk.parts.kept(claim(first, {part(0)}));
  desk.parts.kept(claim(second, {part(0)}));
  CHECK(desk.with(0) == old_two);
  CHECK(desk.parts.find(old_one) == nullptr);
  CHECK_FALSE(desk.parts.hears(part(0), old_one));
  desk.parts.walk();
}

TEST_CASE("a kept outcome takes no part from a call that its worker is making") {
  Desk desk;
  desk.expected(0);
  CHECK(desk.parts.claimed(claim(old_one, {part(0)}), now).empty());
  desk.parts.kept(claim(old_two, {part(0)}));
  CHECK(desk.with(0) == old_one);
}

TEST_CASE("within the grace a part whose old call failed waits for the claim of the next one") {
  const bool grace = GENERATE(true, false), old_call = GENERATE(true, false);
  CAPTURE(grace, old_call);
  const CallId failed = old_call ? old_one : one;
  Desk desk;
  if (!grace) desk.parts.grace_over(now);
  CHECK(desk.parts.of_earlier_life(failed) == old_call);
  desk.expected(0);
  desk.parts.again(part(0), failed, now + 1s);
  CHECK(desk.open(0).is_unknown() == (grace && old_call));
  if (!desk.open(0).is_unknown()) return;
  CHECK_FALSE(desk.parts.hears(part(0), failed));
  CHECK(desk.parts.hears(part(0), old_two));
  desk.parts.kept(claim(failed, {part(0)})); // it failed, as is known
  CHECK(desk.open(0).is_unknown());
}

TEST_CASE("when the grace is over, once, what nobody has claimed waits again") {
  Desk desk;
  for (const std::uint64_t item : {3u, 2u, 1u, 0u}) desk.expected(item);
  desk.parts.claimed(claim(old_one, {part(1)}), now);
  desk.parts.again(part(2), old_two, now); // of which is known that it failed
  const OpenParts::Unclaimed unclaimed = desk.parts.grace_over(now);
  CHECK(unclaimed.parts == Parts{part(0), part(2), part(3)});
  CHECK(unclaimed.unheard == 2);
  CHECK(desk.open(3).not_before() == now);
  CHECK(desk.parts.ledger().unknown_count() == 0);
  CHECK(desk.parts.grace_over(now).parts.empty());
}

// ---- what becomes of a part

TEST_CASE("what a judgement says of a part is kept with it") {
  Desk desk;
  desk.out(one);
  Judgement judgement;
  judgement.tally.consumed = 2;
  judgement.company = 6;
  judgement.behind_since = now;
  desk.parts.tried(part(0));
  CHECK(desk.open(0).tally.tries == 1);
  desk.parts.judged(part(0), judgement);
  CHECK(desk.open(0).tally.consumed == 2);
  CHECK(desk.open(0).together() == 6);
  CHECK(desk.open(0).lane() == Lane::behind);
}

TEST_CASE("a part begins anew at its other model, and the journal is told") {
  Desk desk;
  desk.out(one);
  Judgement judgement;
  judgement.tally.consumed = 2;
  judgement.tally.deaths = 1;
  desk.parts.judged(part(0), judgement);
  CHECK(desk.parts.note_of(part(0)).attempts == 2);
  CHECK_FALSE(desk.parts.note_of(part(0)).on_fallback());
  desk.parts.fall_back(part(0), CallId{});
  const journal::AttemptNote note = desk.parts.note_of(part(0));
  CHECK(note.attempts == 0);
  CHECK(note.deaths == 1);
  CHECK(note.on_fallback()); // though it was never tried
  CHECK(note.tries == 1);
  CHECK_FALSE(note.of_several);
}

TEST_CASE("a part that goes apart stays with its other call, or waits") {
  const bool has_other = GENERATE(false, true);
  Desk desk;
  desk.out(one, 2);
  if (has_other) desk.parts.open_second(one, two);
  desk.parts.apart(part(0), one, now);
  CHECK(desk.open(0).is_ready() == !has_other);
  desk.parts.gone(one, now);
  CHECK(desk.with(0) == (has_other ? two : CallId{}));
}

TEST_CASE("a part pays what it owes: an attempt, or that it is suspected") {
  using Kind = Debts::Kind;
  const auto [kind, suspicions, pays, suspected] = GENERATE(table<Kind, int, bool, int>({
      {Kind::attempt, 0, true, 0},
      {Kind::suspicion, 0, false, 1},
      {Kind::suspicion, 2, false, 3},
      {Kind::slight_suspicion, 1, false, 2}, // brings nobody to go alone
      {Kind::slight_suspicion, 2, false, 2},
  }));
  CAPTURE(static_cast<int>(kind), suspicions);
  Desk desk;
  desk.out(one);
  for (int n = 0; n < suspicions; ++n) desk.parts.pay({part(0), Kind::suspicion}, now);
  CHECK(desk.parts.pay({part(0), kind}, now) == pays);
  CHECK(desk.open(0).tally.consumed == (pays ? 1 : 0));
  CHECK(desk.open(0).suspicions == suspected);
  CHECK_FALSE(desk.parts.pay({part(9), kind}, now)); // it has ended
}

// ---- invariant

TEST_CASE(
    "a part that is out with a call that does not carry it is seen, and the other way round") {
  OpenParts parts{job, epoch};
  parts.open(part(0), item_of(0), Out{});
  CHECK_THROWS_AS(parts.walk(), CheckFailed); // with no call
  parts.set_out(part(0), one);
  CHECK_THROWS_AS(parts.walk(), CheckFailed); // which is not known
  parts.open_call(one, {part(0)});
  CHECK_NOTHROW(parts.walk());
  SECTION("it is out with another call") {
    parts.set_out(part(0), two);
  }
  SECTION("it waits") {
    parts.wait(part(0), now);
  }
  SECTION("it has ended") {
    parts.end(part(0));
  }
  SECTION("two calls carry it, of which none is a second one") {
    parts.open_call(two, {part(0)});
  }
  CHECK_THROWS_AS(parts.walk(), CheckFailed);
}

} // namespace open_parts_test
