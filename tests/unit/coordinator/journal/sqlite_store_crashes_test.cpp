// What the journal counts of crashes: those in a row in which a job ran and got nowhere.
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace sqlite_store_crashes_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

struct Lives {
  TempDirectory directory;
  Position last = 0;
  Epoch epoch{};

  std::string path() const { return directory / "state"; }

  // A life that opens the journal, does this, and ends; the count that it began with.
  template <class Do> std::uint32_t life(bool in_order, Do what) {
    Opened journal{path()};
    REQUIRE(journal.store);
    epoch = journal.recovered.epoch;
    last = journal.recovered.last_position;
    const std::uint32_t crashes = journal.recovered.jobs.empty() ? 0 : journal.job(1).crashes;
    what(journal);
    journal.store->close(in_order);
    return crashes;
  }
  Group group() {
    Group group;
    group.upto = ++last;
    return group;
  }
  void worker(Opened& journal) {
    Group joined = group();
    joined.sessions.push_back(
        {SessionId{(std::uint64_t{epoch.value} << 32) | 1}, "w", Nonce{1}, true});
    REQUIRE(journal.commit(std::move(joined)));
  }
  std::uint32_t crash() {
    return life(false, [this](Opened& journal) { worker(journal); });
  }
  void begin() {
    life(true, [this](Opened& journal) {
      Group job = group();
      job.jobs.push_back(new_job(1, "jobs/1"));
      REQUIRE(journal.commit(std::move(job)));
    });
  }
};

} // namespace

TEST_CASE("crashes in a row count while a job gets nowhere") {
  Lives lives;
  lives.begin();
  for (std::uint32_t n = 0; n < 4; ++n) CHECK(lives.crash() == n);
}

TEST_CASE(
    "an end in order, a line, a part's or an attempt begins the count anew; a lost call does not") {
  const auto [what, expected] = GENERATE(table<std::string, std::uint32_t>(
      {{"ends", 0}, {"line", 0}, {"part", 0}, {"attempt", 0}, {"ambiguous", 3}}));
  CAPTURE(what);
  Lives lives;
  lives.begin();
  lives.crash();
  lives.crash();
  lives.life(what == "ends", [&, what = what](Opened& journal) {
    lives.worker(journal);
    Group group = lives.group();
    JobNote note{.job = JobId{1}, .low = {}};
    if (what == "line") group.lines.push_back(line(1, 0));
    if (what == "part") group.parts.push_back(part_line({JobId{1}, 0, 0}));
    if (what == "attempt") note.attempts = 1;
    if (what == "ambiguous") note.ambiguous = 1;
    group.notes.push_back(note);
    if (what != "ends") REQUIRE(journal.commit(std::move(group)));
  });
  CHECK(lives.crash() == expected);
  CHECK(lives.crash() == expected + 1);
}

TEST_CASE("a crash without a worker says nothing of a job, and a paused one is not suspected") {
  Lives lives;
  lives.begin();
  lives.crash();
  lives.life(false, [](Opened&) {});
  lives.life(false, [](Opened&) {});
  CHECK(lives.crash() == 1);
  lives.life(false, [&](Opened& journal) {
    lives.worker(journal);
    Group group = lives.group();
    JobChange paused = new_job(1, "");
    paused.spec.clear();
    paused.state = JobState::paused;
    group.jobs.push_back(paused);
    REQUIRE(journal.commit(std::move(group)));
  });
  CHECK(lives.crash() == 0);
}

TEST_CASE("ends on probation count while the same item is out") {
  Lives lives;
  lives.begin();
  lives.crash();
  // A life that begins with that count and ends with the item out; without one: with none.
  const auto ends = [&](std::uint32_t begins_with, std::optional<std::uint64_t> out) {
    lives.life(false, [&](Opened& journal) {
      CHECK(journal.job(1).probation_ends == begins_with);
      lives.worker(journal);
      Group group = lives.group();
      if (out) group.probation.push_back({JobId{1}, *out});
      REQUIRE(journal.commit(std::move(group)));
    });
  };
  ends(0, 7);
  ends(1, 7);
  ends(2, std::nullopt); // it came to no call
  ends(0, 7);            // … so the last life says nothing, and the ones before it still count
  ends(3, 8);
  ends(1, 8);
  SECTION("an end in order begins anew") {
    lives.life(true, [](Opened&) {});
    ends(0, 8);
    ends(1, 8);
  }
  SECTION("so does what is recorded") {
    lives.life(false, [&](Opened& journal) {
      CHECK(journal.job(1).probation_ends == 2);
      lives.worker(journal);
      Group group = lives.group();
      group.probation.push_back({JobId{1}, 8});
      group.lines.push_back(line(1, 0));
      group.notes.push_back({.job = JobId{1}, .low = {}});
      REQUIRE(journal.commit(std::move(group)));
    });
    ends(0, 8);
    ends(1, 8);
  }
}

} // namespace sqlite_store_crashes_test
