// A slow disk slows the work and does not end it; and what many jobs write while they work.
#include "tests/unit/actors/wiring/limiter_journal_harness.hpp"

namespace rate_limiter_slow_disk_test {

using namespace gristmill;
using namespace gristmill::limiter_journal_test;

namespace {

const Time start = time_from_ns(0) + 1h;

struct Work : Scene {
  Duration disk;
  Time written = never;
  std::uint64_t rows = 0, asked = 0, gone = 0, held_rows = 0;
  std::vector<std::uint64_t> items;

  Work(std::uint32_t jobs, Duration takes, RateLimits of_job, RateLimits of_endpoint = {})
      : Scene{start}, disk{takes}, items(jobs) {
    open(jobs, of_job, of_endpoint);
  }
  // Each job asks in turn.
  void run(Duration length, Duration step) {
    for (const Time end = now + length; now < end; now += step) {
      if (written == never && !groups.empty()) written = now + disk;
      if (now >= written) {
        written = never;
        for (const auto& block : groups[0].blocks) {
          ++held_rows;
          held_rows -= block.over.size();
        }
        rows += groups[0].blocks.size() + groups[0].marks.size();
        durable();
      }
      const std::size_t job = asked++ % items.size();
      if (!call(static_cast<std::uint32_t>(job) + 1, items[job])) continue;
      ++gone;
      ++items[job];
    }
  }
  double share(Duration length, Duration step) {
    asked = gone = 0;
    run(length, step);
    return static_cast<double>(gone) / static_cast<double>(asked);
  }
};

} // namespace

TEST_CASE("commits of any length keep no call back once their length has been seen") {
  const auto disk =
      GENERATE(as<Duration>{}, 5ms, 100ms, 400ms, 600ms, 1s, 1'200ms, 1'500ms, 3s, 6s);
  const auto [of_job, of_endpoint] = GENERATE(table<RateLimits, RateLimits>(
      {{{}, {}}, {{60'000}, {}}, {{}, {60'000}}, {{60'000}, {60'000}}}));
  CAPTURE(disk.count(), of_job.requests_per_minute, of_endpoint.requests_per_minute);
  Work work{10, disk, of_job, of_endpoint};
  work.run(10 * disk + 2s, 5ms);
  CHECK(work.share(60s, 5ms) >= 0.98);
}

TEST_CASE("a disk that becomes slow delays calls by a few of its commits") {
  Work work{10, 5ms, {}};
  work.run(20s, 5ms);
  work.disk = 3s;
  work.run(20s, 5ms);
  CHECK(work.share(60s, 5ms) >= 0.98);
}

TEST_CASE(
    "jobs without limits write a mark now and then, and their endpoint a block in ten seconds") {
  Work work{1'000, 5ms, {}};
  work.run(20s, 1ms);
  work.rows = 0;
  CHECK(work.share(60s, 1ms) == 1);
  CHECK(work.rows <= 10);
}

TEST_CASE("the journal holds the blocks of a minute and no more, however long the work lasts") {
  Work work{3, 5ms, {6'000}, {60'000}};
  std::uint64_t most = 0;
  for (int minute = 0; minute < 10; ++minute) {
    work.run(60s, 20ms);
    most = std::max(most, work.held_rows);
  }
  CHECK(most > 4 * 55);
  CHECK(most <= 4 * 70);

  // What a closed job leaves goes with the next block of anybody.
  LimiterNews news;
  news.jobs_closed = {JobId{1}, JobId{2}};
  work.tell(work.limiter, std::move(news));
  work.items.assign(1, 0);
  news = {};
  news.jobs_closed = {JobId{3}};
  news.jobs_opened.push_back({JobId{1}, {}, {}});
  work.tell(work.limiter, std::move(news));
  work.run(200s, 20ms);
  CHECK(work.held_rows <= 2 * 70); // the endpoint's, and those of the job that came again
}

} // namespace rate_limiter_slow_disk_test
