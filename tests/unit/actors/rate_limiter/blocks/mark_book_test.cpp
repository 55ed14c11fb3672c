// How far into a job's items calls may go, and how far ahead of them the journal is kept.
#include "actors/rate_limiter/blocks/mark_book.hpp"

#include "actors/kit/defaults.hpp"

#include <catch2/catch.hpp>

namespace mark_book_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;
constexpr JobId one{7}, other{8};

// One job on a disk that takes so long; its calls go in order, at most so many a second.
struct Work {
  MarkBook book;
  Duration disk;
  std::uint64_t item = 0, rows = 0, stalled_ms = 0, number = 0, ahead = 0;
  Time durable_at = never;

  void run(Time from, Duration length, std::uint64_t per_ms) {
    for (Time now = from; now < from + length; now += 1ms) {
      if (now >= durable_at) {
        book.durable(number);
        durable_at = never;
      }
      for (std::uint64_t n = 0; n < per_ms; ++n) {
        if (!book.covers(one, item)) {
          ++stalled_ms;
          break;
        }
        ++item;
      }
      if (durable_at != never) continue;
      const auto notes = book.reserve(number + 1, now, disk);
      if (notes.empty()) continue;
      ++number;
      ++rows;
      ahead = notes[0].mark - item;
      durable_at = now + disk;
    }
  }
};

} // namespace

TEST_CASE("an item is called below its job's durable mark only") {
  MarkBook book;
  CHECK(book.reserve(1, start, 0s).empty());
  CHECK_FALSE(book.covers(one, 10));
  const auto notes = book.reserve(1, start, 0s);
  REQUIRE(notes.size() == 1);
  CHECK(notes[0].job == one);
  CHECK(notes[0].mark == 11 + defaults::mark_ahead);
  CHECK_FALSE(book.covers(one, 10)); // it is not durable yet
  CHECK(book.writing_since(one) == start);
  CHECK(book.reserve(2, start, 0s).empty()); // one at a time
  book.durable(9);
  CHECK_FALSE(book.covers(one, 10));
  book.durable(1);
  CHECK_FALSE(book.writing_since(one));
  CHECK(book.covers(one, notes[0].mark - 1));
  CHECK_FALSE(book.covers(one, notes[0].mark));
  CHECK_FALSE(book.covers(other, 0));
}

TEST_CASE("one note has the marks of all jobs that need one") {
  MarkBook book;
  book.covers(one, 0);
  book.covers(other, 5);
  CHECK(book.reserve(1, start, 0s).size() == 2);
  book.durable(1);
  CHECK(book.covers(one, 0));
  CHECK(book.covers(other, 5));
}

TEST_CASE("a mark that was written for a forgotten job lets nothing go that is not durable") {
  MarkBook book;
  book.covers(one, 0);
  const auto before = book.reserve(1, start, 0s);
  book.forget(one);
  CHECK(book.reserve(2, start, 0s).empty());
  book.covers(one, 100'000);
  const auto after = book.reserve(2, start, 0s);
  REQUIRE(after.size() == 1);
  book.durable(1);
  CHECK(book.covers(one, before[0].mark - 1));
  CHECK_FALSE(book.covers(one, before[0].mark));
  book.durable(2);
  CHECK(book.covers(one, after[0].mark - 1));
}

TEST_CASE("a job waits for its marks at its beginning, and then no more") {
  const auto [disk, per_ms] = GENERATE(
      table<Duration, std::uint64_t>({{5ms, 1}, {5ms, 40}, {400ms, 1}, {3s, 1}, {6s, 1}, {6s, 5}}));
  CAPTURE(disk.count(), per_ms);
  Work work{{}, disk};
  work.run(start, 20 * disk + 2s, per_ms);
  work.stalled_ms = 0;
  work.run(start + 20 * disk + 2s, 60s, per_ms);
  CHECK(work.stalled_ms == 0);
}

TEST_CASE("a job of few calls writes few marks, and marks come down again when it slows") {
  Work slow{{}, 5ms};
  for (Time now = start; now < start + 1h; now += 1s) slow.run(now, 1ms, 1);
  CHECK(slow.item > 3'000);
  CHECK(slow.rows <= 9);

  Work slows{{}, 50ms};
  slows.run(start, 10s, 40);
  CHECK(slows.ahead > 4 * defaults::mark_ahead);
  for (Time now = start + 10s; now < start + 40h; now += 1s) slows.run(now, 1ms, 1);
  CHECK(slows.ahead <= 2 * defaults::mark_ahead);
}

} // namespace mark_book_test
