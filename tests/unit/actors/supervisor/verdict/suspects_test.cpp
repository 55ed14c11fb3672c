// The search for a part that makes its endpoint fail: who goes alone, when, and who is kept back.
#include "actors/supervisor/verdict/suspects.hpp"

#include <catch2/catch.hpp>

namespace suspects_test {

using namespace gristmill;
using namespace gristmill::supervisor;
using namespace std::chrono_literals;

namespace {

const Time now = time_from_ns(0) + 1h;

PartId part(std::uint64_t item) {
  return {JobId{7}, item, 0};
}
using Waits = std::optional<Time>; // nothing: it is out
void add(PartLedger& ledger, std::uint64_t item, int suspicions, Waits not_before = now,
         PartTally tally = {}) {
  OpenPart open;
  open.state = Out{CallId{1}};
  open.tally = std::move(tally);
  ledger.add(part(item), std::move(open));
  for (int n = 0; n < suspicions; ++n) ledger.suspect(part(item), now);
  if (not_before) ledger.wait(part(item), *not_before);
}
PartTally failed_alone(std::uint8_t failures, std::uint64_t alone_after = 0) {
  PartTally tally;
  tally.alone_failures = failures;
  tally.alone_after = alone_after;
  return tally;
}
PartTally tried() {
  PartTally tally;
  tally.tries = 1;
  return tally;
}
void answer(Suspects& suspects, int times) {
  for (int n = 0; n < times; ++n) suspects.answered({part(1'000)});
}
std::optional<std::uint64_t> next(const Suspects& suspects, const PartLedger& ledger,
                                  bool read_all = false, Time at = now) {
  const auto id = suspects.next_alone(ledger, read_all, at);
  return id ? std::optional{id->item} : std::nullopt;
}

} // namespace

TEST_CASE("three failures alone are enough, but where others are lost by themselves, too") {
  const auto [lost, answered, needed] = GENERATE(table<int, int, int>({
      {0, 0, 3},
      {2, 0, 3}, // one of two may be who is sought
      {3, 0, 25},
      {3, 3, 10},
      {3, 26, 4}, // 3 of 29: as unlikely by chance as one in a thousand
      {3, 28, 3},
      {3, 1'000, 3},
      {100, 1, 40}, // no more than that, in any case
  }));
  CAPTURE(lost, answered);
  Suspects suspects;
  for (int n = 0; n < lost; ++n) {
    suspects.offered(part(1), true);
    suspects.lost(part(1));
  }
  for (int n = 0; n < answered; ++n) {
    suspects.offered(part(1), true);
    suspects.answered({part(1)});
  }
  CHECK(static_cast<int>(suspects.failures_needed()) == needed);
  CHECK(suspects.answers() == static_cast<std::uint64_t>(answered));
}

TEST_CASE(
    "only calls that were out by themselves, and not those of a suspect, say how often others "
    "are lost") {
  Suspects suspects;
  const auto what = GENERATE(as<std::string>{}, "by itself", "beside others", "another", "alone");
  CAPTURE(what);
  if (what == "alone") suspects.goes_alone(part(1));
  suspects.offered(part(1), what != "beside others");
  for (int n = 0; n < 3; ++n) suspects.lost(part(what == "another" ? 2 : 1));
  CHECK((suspects.failures_needed() > alone_failures_max) == (what == "by itself"));
}

TEST_CASE("a call of several parts is one answer, and says nothing of those by themselves") {
  Suspects suspects;
  suspects.offered(part(1), true);
  for (int n = 0; n < 3; ++n) suspects.lost(part(1));
  for (int n = 0; n < 1'000; ++n) suspects.answered({part(1), part(2)});
  CHECK(suspects.answers() == 1'000);
  CHECK(static_cast<int>(suspects.failures_needed()) == 25);
}

TEST_CASE("who has failed alone most often goes next, of equals the first") {
  PartLedger ledger;
  const Suspects suspects;
  CHECK_FALSE(next(suspects, ledger));
  add(ledger, 0, 2, now, failed_alone(9)); // goes in portions
  CHECK_FALSE(next(suspects, ledger));
  add(ledger, 1, 3, now, failed_alone(1));
  add(ledger, 2, 3, now, failed_alone(2));
  add(ledger, 3, 3, now, failed_alone(2));
  add(ledger, 4, 3, std::nullopt, failed_alone(5)); // it is out
  CHECK(next(suspects, ledger) == 2);
}

TEST_CASE("it goes when its time has come, and others go before it") {
  PartLedger ledger;
  const Suspects suspects;
  add(ledger, 0, 3, now + 1s, failed_alone(2));
  CHECK_FALSE(next(suspects, ledger, false, now + 1s - 1ns));
  CHECK(next(suspects, ledger, false, now + 1s) == 0);
  add(ledger, 1, 3, now);
  CHECK(next(suspects, ledger, false, now + 1s - 1ns) == 1);
  CHECK(next(suspects, ledger, false, now + 1s) == 0);
}

TEST_CASE("between two failures of those that go alone another is answered") {
  PartLedger ledger;
  add(ledger, 0, 3, now, failed_alone(1, 4));
  add(ledger, 1, 0);
  Suspects suspects;
  answer(suspects, 3);
  CHECK(suspects.needs_witness(ledger));
  CHECK_FALSE(next(suspects, ledger, true));
  answer(suspects, 1);
  CHECK_FALSE(suspects.needs_witness(ledger));
  CHECK(next(suspects, ledger, true) == 0);
}

TEST_CASE("where nobody is left to be answered those that go alone are tried, the least suspect "
          "first") {
  PartLedger ledger;
  const Suspects suspects;
  add(ledger, 0, 3, now, failed_alone(2, 1));
  add(ledger, 1, 3, now + 1s, failed_alone(1, 1));
  CHECK_FALSE(next(suspects, ledger, false, now + 1h)); // there may be more in the input
  CHECK_FALSE(next(suspects, ledger, true, now + 1s - 1ns));
  CHECK(next(suspects, ledger, true, now + 1s) == 1);
  add(ledger, 2, 0);
  CHECK_FALSE(next(suspects, ledger, true, now + 1h));
}

TEST_CASE("witnesses are kept back only from a search, and while they are few") {
  const int waiting = GENERATE(7, 8, 9);
  PartLedger ledger;
  Suspects suspects;
  for (int item = 0; item < waiting; ++item) add(ledger, static_cast<std::uint64_t>(item), 0);
  CHECK_FALSE(suspects.keeps_witnesses(ledger));
  add(ledger, 100, 3);
  CHECK(suspects.keeps_witnesses(ledger) == (waiting <= 8));
}

TEST_CASE("witnesses go one by one while one is needed, or the endpoint is to be probed") {
  const bool needed = GENERATE(true, false);
  PartLedger ledger;
  Suspects suspects;
  add(ledger, 0, 0);
  add(ledger, 1, needed ? 3 : 1, now, failed_alone(0, needed ? 1 : 0));
  if (!needed) ledger.fall_behind(part(1), now);
  CHECK_FALSE(suspects.keeps_witnesses(ledger));
  add(ledger, 2, 0, std::nullopt);
  CHECK(suspects.keeps_witnesses(ledger));
}

TEST_CASE("when no suspect waits the last witnesses go by three") {
  const int out = GENERATE(2, 3, 4);
  PartLedger ledger;
  Suspects suspects;
  add(ledger, 0, 0);
  for (int n = 0; n < out; ++n) add(ledger, 10u + static_cast<std::uint64_t>(n), 1, std::nullopt);
  CHECK(suspects.keeps_witnesses(ledger) == (out >= 3));
  add(ledger, 50, 2); // one that goes in a portion
  CHECK(suspects.keeps_witnesses(ledger));
}

TEST_CASE("one is alone out from its offer until its call ends") {
  PartLedger ledger;
  Suspects suspects;
  add(ledger, 0, 3);
  CHECK_FALSE(suspects.is_alone(part(0)));
  suspects.goes_alone(part(0));
  CHECK(suspects.is_alone(part(0)));
  CHECK_FALSE(suspects.is_alone(part(1)));
  CHECK_FALSE(suspects.is_alone_out(ledger)); // it waits yet
  ledger.set_out(part(0), CallId{5});
  CHECK(suspects.is_alone_out(ledger));
  SECTION("it waits again") {
    ledger.wait(part(0), now);
  }
  SECTION("it has ended") {
    ledger.end(part(0));
  }
  SECTION("it waits for another's answer") {
    ledger.set_following(part(0));
  }
  SECTION("nothing is held against it any more") {
    suspects.is_cleared();
    CHECK_FALSE(suspects.is_alone(part(0)));
  }
  CHECK_FALSE(suspects.is_alone_out(ledger));
}

TEST_CASE("it is the last when all is read and no other is open, or only such that go alone") {
  PartLedger ledger;
  CHECK_FALSE(is_last(ledger, false));
  add(ledger, 0, 0);
  CHECK(is_last(ledger, true));
  CHECK_FALSE(is_last(ledger, false));
  add(ledger, 1, 3);
  CHECK_FALSE(is_last(ledger, true));
  ledger.end(part(0));
  add(ledger, 2, 3, std::nullopt);
  CHECK(is_last(ledger, true));
}

TEST_CASE("few are left when all is read and at most eight are open, each of which was tried") {
  const std::uint64_t left = GENERATE(7u, 8u, 9u);
  PartLedger ledger;
  for (std::uint64_t item = 0; item < left; ++item) add(ledger, item, 0, now, tried());
  CHECK(only_few_are_left(ledger, true) == (left <= 8));
  CHECK_FALSE(only_few_are_left(ledger, false));
  ledger.set_tally(part(3), {});
  CHECK_FALSE(only_few_are_left(ledger, true));
}

TEST_CASE("who waits for another's answer is nobody who is left") {
  const std::uint64_t called = GENERATE(1u, 2u, 8u, 9u);
  CAPTURE(called);
  PartLedger ledger;
  for (std::uint64_t item = 0; item < called; ++item) add(ledger, item, 0, now, tried());
  for (std::uint64_t item = 100; item < 120; ++item) {
    add(ledger, item, 0, std::nullopt);
    ledger.set_following(part(item));
  }
  CHECK(is_last(ledger, true) == (called == 1));
  CHECK(only_few_are_left(ledger, true) == (called <= 8));
  ledger.wait(part(100), now); // it is called by itself now
  CHECK_FALSE(is_last(ledger, true));
  CHECK_FALSE(only_few_are_left(ledger, true)); // it was not tried
}

TEST_CASE("those that go alone are the last beside any that wait for their answers") {
  PartLedger ledger;
  for (const std::uint64_t item : {0, 1}) add(ledger, item, 3);
  add(ledger, 2, 0, std::nullopt);
  CHECK_FALSE(is_last(ledger, true));
  ledger.set_following(part(2));
  CHECK(is_last(ledger, true));
}

TEST_CASE("a suspect that waits for another's answer keeps nobody back") {
  PartLedger ledger;
  Suspects suspects;
  add(ledger, 0, 3);
  add(ledger, 1, 0);
  suspects.goes_alone(part(0));
  CHECK(suspects.keeps_witnesses(ledger));
  ledger.set_following(part(0));
  CHECK_FALSE(suspects.keeps_witnesses(ledger));
  CHECK_FALSE(suspects.needs_witness(ledger));
  CHECK_FALSE(next(suspects, ledger, true));
}

} // namespace suspects_test
