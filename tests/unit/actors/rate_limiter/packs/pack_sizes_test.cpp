// What jobs are told of how many inputs go together, and where calls of several inputs go.
#include "actors/rate_limiter/packs/pack_sizes.hpp"

#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

namespace pack_sizes_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

struct Pool : Bench {
  explicit Pool(std::uint32_t endpoints, RateLimits limits = {}) {
    for (std::uint32_t id = 1; id <= endpoints; ++id) endpoint(id, limits);
    job(7, {});
    model = "m";
    warm_up();
  }
  Granted call(std::uint32_t parts) {
    Acquire acquire = question({CallId{++calls_}});
    acquire.calls[0].parts = parts;
    Granted granted = limiter.acquire(acquire, now);
    if (granted.permits.empty() && granted.exceeding.empty()) {
      write_blocks();
      granted = limiter.acquire(acquire, now);
    }
    return granted;
  }
  protocol::Permit take(std::uint32_t parts) { return call(parts).permits.at(0); }
  void end(const protocol::Permit& permit, OutcomeClass cls = OutcomeClass::ok,
           bool lacks_answers = false) {
    Ended ended{Ended::How::answered, permit.attempt, cls};
    ended.latency = 10ms;
    ended.lacks_answers = lacks_answers;
    limiter.ended(ended, now);
  }
  // Answered, one after the other.
  void grow(std::vector<std::uint32_t> sizes) {
    for (const std::uint32_t parts : sizes) end(take(parts));
  }
  std::optional<PackSize> told() {
    const auto news = limiter.pack_news(now);
    if (news.empty()) return std::nullopt;
    REQUIRE(news.size() == 1);
    CHECK(news[0].job == JobId{7});
    CHECK(news[0].size.model == "m");
    return news[0].size;
  }

private:
  std::uint64_t calls_ = 100;
};

} // namespace

TEST_CASE("a job whose calls have several inputs is told how many, whenever that changes") {
  Pool pool{1};
  CHECK_FALSE(pool.told());
  const auto first = pool.take(8);
  CHECK_FALSE(pool.told()); // it goes by what one that was told nothing does
  pool.end(first);
  CHECK(pool.told() == PackSize{"m", 8, 16, 4, 0});
  CHECK_FALSE(pool.told());
  pool.end(pool.take(16), OutcomeClass::bad_line);
  CHECK(pool.told() == PackSize{"m", 8, 0, 4, 0});
  pool.now += PackLimit::refused_for;
  CHECK(pool.told() == PackSize{"m", 8, 16, 4, 0});
}

TEST_CASE("what a call's end says of its size follows from its class") {
  using enum OutcomeClass;
  const auto [cls, lacks, most, trial] =
      GENERATE(table<OutcomeClass, bool, std::uint32_t, std::uint32_t>({
          {ok, false, 16, 32},
          {ok, true, 8, 0},
          {bad_line, false, 8, 0},
          {too_long, false, 8, 0},
          {too_big, false, 8, 0},
          {policy, false, 8, 0},
          {malformed, false, 8, 0},
          {transient, false, 8, 0},
          {timeout, false, 8, 0},
          {rate, false, 8, 16},
          {quota, false, 8, 16},
          {config, false, 8, 16},
      }));
  CAPTURE(info(cls).name, lacks);
  Pool pool{1};
  pool.grow({8});
  pool.end(pool.take(16), cls, lacks);
  const auto told = pool.told();
  REQUIRE(told);
  CHECK(told->most == most);
  CHECK(told->trial == trial);
}

TEST_CASE(
    "of several endpoints the one that takes least counts, and those that are unknown do not") {
  Pool pool{2};
  const auto large = pool.take(8);
  pool.end(large);
  CHECK(pool.told() == PackSize{"m", 8, 16, 8, 0}); // of the other one nothing is known
  const auto fresh = pool.take(8);
  CHECK(fresh.endpoint != large.endpoint); // which is tried with what the first takes
  pool.end(fresh);
  const auto trial = pool.take(16);
  pool.end(trial);
  CHECK_FALSE(pool.told()); // the other one has not taken so many
  const auto other = pool.take(16);
  CHECK(other.endpoint != trial.endpoint);
  SECTION("it takes as much") {
    pool.end(other);
    CHECK(pool.told() == PackSize{"m", 16, 32, 8, 0});
  }
  SECTION("it takes less") {
    pool.end(other, OutcomeClass::bad_line);
    CHECK(pool.told() == PackSize{"m", 8, 0, 8, 0});
    CHECK(pool.take(16).endpoint == trial.endpoint); // and such calls go to the first
  }
}

TEST_CASE("beside a trial go as many calls as its endpoints, and its job, have room for") {
  const auto [at_endpoint, of_job, beside] = GENERATE(table<std::uint32_t, std::uint32_t,
                                                            std::uint32_t>(
      {{0, 0, 4}, {1, 0, 0}, {3, 0, 2}, {5, 0, 4}, {9, 0, 4}, {9, 1, 0}, {9, 3, 2}, {9, 99, 4}}));
  CAPTURE(at_endpoint, of_job);
  Pool pool{1, {0, 0, at_endpoint}};
  pool.job(7, {0, 0, of_job});
  pool.warm_up();
  pool.grow({8});
  const auto told = pool.told();
  REQUIRE(told);
  CHECK(told->beside == (at_endpoint == 0 && of_job == 0 ? told->beside : beside));
}

TEST_CASE("a larger call waits while another one is tried, others go") {
  Pool pool{1};
  pool.grow({8});
  const auto trial = pool.take(16);
  const Granted second = pool.call(16);
  REQUIRE(second.waits.size() == 1);
  CHECK(second.waits[0].reason.kind == WaitKind::budget);
  pool.take(8);
  pool.limiter.ended(Ended::unstarted(trial.attempt), pool.now);
  pool.take(16);
}

TEST_CASE("a call of more inputs than any endpoint takes is given back") {
  Pool pool{1};
  pool.grow({8});
  pool.end(pool.take(16), OutcomeClass::bad_line);
  const Granted granted = pool.call(16);
  REQUIRE(granted.exceeding.size() == 1);
  CHECK(granted.exceeding[0].by_parts);
  CHECK(granted.permits.empty());
  pool.take(8);
}

TEST_CASE("a window of tokens says how much of it a call may take") {
  const auto [rate, tokens] = GENERATE(table<std::uint64_t, std::uint64_t>(
      {{0, 0}, {3'000, 100}, {29, 1}, {60'000'000, 2'000'000}}));
  RateLimits limits;
  limits.tokens_per_minute = rate;
  Pool pool{2, limits};
  pool.endpoint(3, {});
  pool.grow({8});
  const auto told = pool.told();
  REQUIRE(told);
  CHECK(told->tokens == tokens);
}

TEST_CASE("what was found is noted, and known to another life") {
  Pool pool{1};
  pool.grow({8, 16});
  const auto notes = pool.limiter.concurrency_notes();
  REQUIRE_FALSE(notes.empty());
  CHECK(notes.back().inputs == 16);
  Bench next;
  next.limiter.concurrency_recovered({notes.back()});
  next.endpoint(1, {});
  next.job(7, {});
  Acquire acquire = next.question({CallId{1}});
  acquire.calls[0].model = "m";
  acquire.calls[0].parts = 16;
  next.limiter.acquire(acquire, next.now);
  const auto news = next.limiter.pack_news(next.now);
  REQUIRE(news.size() == 1);
  CHECK(news[0].size.most == 16);
}

TEST_CASE("of a job that is closed nothing is kept") {
  Pool pool{1};
  pool.grow({8});
  CHECK(pool.told());
  pool.limiter.job_closed(JobId{7});
  pool.now += 1h;
  CHECK(pool.limiter.pack_news(pool.now).empty());
}

} // namespace pack_sizes_test
