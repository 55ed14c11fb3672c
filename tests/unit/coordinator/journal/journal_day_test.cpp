// A day of many active jobs on the real journal, written by the real rooms on virtual time: what is
// kept of it is what the last minute needs. Some minutes by default, GRISTMILL_DAY_MINUTES=1440 for
// the day, which also prints what its next start takes.
#include "tests/unit/actors/wiring/limiter_journal_harness.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>

namespace journal_day_test {

using namespace gristmill;
using namespace gristmill::limiter_journal_test;

TEST_CASE("a day of active jobs leaves a journal that the next start reads at once") {
  const char* minutes = std::getenv("GRISTMILL_DAY_MINUTES");
  const int length = minutes == nullptr ? 4 : std::atoi(minutes);
  constexpr std::uint32_t jobs = 100;
  const store_test::TempDirectory temp;
  const Time start{1'000h};
  const auto life = [&](Time now) {
    auto options = store_test::Opened::options_for(temp / "state");
    options.now = now;
    return store_test::Opened{options};
  };
  Time now = start;
  std::vector<std::uint64_t> items(jobs + 1); // called, of each job
  {
    store_test::Opened opened = life(start);
    REQUIRE(opened.store);
    journal::Group made;
    for (std::uint32_t id = 1; id <= jobs; ++id)
      made.jobs.push_back(store_test::new_job(id, fmt::format("jobs/{}", id)));
    opened.commit_next(std::move(made));

    Scene scene{start, opened.recovered.epoch, 1};
    scene.open(jobs, {6'000}, {600'000});
    std::uint64_t rows = 0, sessions = 0;
    for (; now < start + length * 60s; now += 500ms) {
      scene.now = now;
      for (std::uint32_t id = 1; id <= jobs; ++id)
        if (scene.call(id, items[id])) ++items[id];
      // A worker that comes and goes.
      AppendNow session;
      session.part.sessions.push_back({SessionId{++sessions}, "w", Nonce{sessions}, true});
      if (sessions > 1)
        session.part.sessions.push_back({SessionId{sessions - 1}, "w", Nonce{sessions - 1}, false});
      scene.tell(scene.journal, std::move(session));
      while (!scene.groups.empty()) {
        rows += scene.groups.front().blocks.size();
        REQUIRE(opened.commit(scene.groups.front()));
        scene.durable();
      }
    }
    CHECK(rows > static_cast<std::uint64_t>(length) * 60 * jobs / 2); // it is a day of blocks
  }
  const Time begin = boot_now();
  store_test::Opened again = life(now);
  REQUIRE(again.store);
  const double seconds = to_seconds(boot_now() - begin);
  CHECK(again.recovered.blocks.size() <= 70 * (jobs + 1));
  CHECK(again.recovered.sessions.size() == 1);
  for (std::uint32_t id = 1; id <= jobs; ++id) CHECK(again.job(id).mark >= items[id]);
  CHECK(items[1] > static_cast<std::uint64_t>(length) * 60);
  CHECK(std::filesystem::file_size(temp / "state/journal.db") < 8u << 20);
  again.store->close();
  auto database = coordinator::Database::open(temp / "state/journal.db");
  CHECK(database->integer("SELECT count(*) FROM sessions").value() == 1);
  CHECK(database->integer("SELECT count(*) FROM marks").value() == jobs);
  struct rusage use {};
  ::getrusage(RUSAGE_SELF, &use);
  if (minutes != nullptr)
    std::printf("%d minutes: read again in %.3f s, %ld MB at the most\n", length, seconds,
                use.ru_maxrss / 1'024);
}

} // namespace journal_day_test
