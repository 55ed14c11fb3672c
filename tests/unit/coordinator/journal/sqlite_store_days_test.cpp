// What the journal keeps of limits per day: by account and bucket, through restarts and boots.
#include "actors/kit/defaults.hpp"
#include "coordinator/journal/sqlite.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace sqlite_store_days_test {

using namespace gristmill;
using namespace gristmill::store_test;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

constexpr Time start = Time{hours{1'000}};
const Duration bucket = defaults::bucket_of(defaults::hold_of(defaults::day_window));

Opened life(const std::string& directory, const std::string& boot, Time now) {
  auto options = Opened::options_for(directory);
  options.boot_id = boot;
  options.now = now;
  return Opened{options};
}

void commit(Opened& journal, std::vector<DayNote> days) {
  Group group;
  group.upto = ++journal.recovered.last_position;
  group.days = std::move(days);
  REQUIRE(journal.commit(std::move(group)));
}

DayNote note(const std::string& account, Time until, std::uint64_t calls, Time noted_at) {
  return {account, until, calls, calls * 100, noted_at};
}

std::string text_of(const Recovered& recovered, Time from) {
  std::string text;
  for (const DayNote& day : recovered.days)
    text +=
        fmt::format("{} {} min: {} {}\n", day.account,
                    std::chrono::floor<minutes>(day.until - from).count(), day.calls, day.tokens);
  return text;
}

} // namespace

TEST_CASE("the last note of a bucket comes back, until the bucket is over", "[day]") {
  const TempDirectory temp;
  {
    auto journal = life(temp / "state", "boot-a", start);
    REQUIRE(journal.store);
    CHECK(journal.recovered.days.empty());
    commit(journal,
           {note("a", start + minutes{10}, 5, start), note("b", start + minutes{10}, 1, start)});
    commit(journal, {note("a", start + minutes{10}, 3, start + seconds{1}),
                     note("a", start + minutes{20}, 7, start + seconds{1})});
  }
  {
    const auto journal = life(temp / "state", "boot-a", start + minutes{10} - seconds{1});
    CHECK(text_of(journal.recovered, start) ==
          "a 10 min: 3 300\na 20 min: 7 700\nb 10 min: 1 100\n");
  }
  const auto journal = life(temp / "state", "boot-a", start + minutes{10});
  CHECK(text_of(journal.recovered, start) == "a 20 min: 7 700\n");
}

TEST_CASE("buckets that are over are not kept", "[day]") {
  const TempDirectory temp;
  auto journal = life(temp / "state", "boot-a", start);
  for (int n = 0; n < 3'000; ++n)
    commit(journal, {note("a", start + n * seconds{90} + hours{24}, 1, start + n * seconds{90})});
  journal.store->close();
  auto database = coordinator::Database::open(temp / "state/journal.db");
  CHECK(database->integer("SELECT count(*) FROM days").value() == 960);
}

TEST_CASE("buckets of an account that writes no note any more are removed, too", "[day]") {
  const TempDirectory temp;
  auto journal = life(temp / "state", "boot-a", start);
  for (int n = 0; n < 100; ++n) {
    const Time now = start + n * minutes{10};
    commit(journal, {note("job-" + std::to_string(n), now + minutes{30}, 1, now)});
  }
  journal.store->close();
  auto database = coordinator::Database::open(temp / "state/journal.db");
  CHECK(database->integer("SELECT count(*) FROM days").value() == 3);
}

// boot-a   |--note(until + 24 h)--noted 1 h later--|        23 h are left of it
// boot-b                                             |..|   the clock begins again near zero
TEST_CASE("of another boot is left what was left when it was last heard of", "[day]") {
  const TempDirectory temp;
  const Time reboot{seconds{40}};
  {
    auto journal = life(temp / "state", "boot-a", start);
    commit(journal, {note("a", start + hours{24}, 5, start)});
    commit(journal, {note("a", start + hours{25}, 2, start + hours{1})});
  }
  {
    const auto journal = life(temp / "state", "boot-b", reboot);
    REQUIRE(journal.recovered.days.size() == 2);
    const Duration left = journal.recovered.days[0].until - reboot;
    CHECK(left >= hours{23});
    CHECK(left <= hours{23} + bucket);
    CHECK(journal.recovered.days[1].until - journal.recovered.days[0].until == hours{1});
  }
  {
    auto journal = life(temp / "state", "boot-b", reboot + hours{3});
    REQUIRE(journal.recovered.days.size() == 2);
    CHECK(journal.recovered.days[0].until >= reboot + hours{23});
    CHECK(journal.recovered.days[0].until <= reboot + hours{23} + bucket);
  }
  // That start was three hours into the boot, so much of it is certain: 20 hours are left.
  const auto journal = life(temp / "state", "boot-c", Time{seconds{7}});
  REQUIRE(journal.recovered.days.size() == 2);
  CHECK(journal.recovered.days[0].until >= Time{hours{20}});
  CHECK(journal.recovered.days[0].until <= Time{hours{20}} + 2 * bucket);
}

TEST_CASE("a boot does not move a bucket off the others", "[day]") {
  const TempDirectory temp;
  const Time end{bucket * 50'000};
  {
    auto journal = life(temp / "state", "boot-a", end - hours{24});
    commit(journal, {note("a", end, 5, end - hours{24} + seconds{1})});
  }
  const auto journal = life(temp / "state", "boot-b", Time{seconds{33}});
  REQUIRE(journal.recovered.days.size() == 1);
  CHECK(to_ns(journal.recovered.days[0].until) % bucket.count() == 0);
}

} // namespace sqlite_store_days_test
