// What a job begins with when it runs again.
#include "actors/jobs/kept_job.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace kept_job_test {

using namespace gristmill;
using namespace gristmill::jobs;

namespace {

// Ten items: 2 and 5 ended as bad results, 7 as a bad line, the others were answered.
KeptJob kept() {
  KeptJob kept;
  kept.content.job = JobId{7};
  for (std::uint64_t item = 0; item < 10; ++item) kept.content.terminal.insert(item);
  for (const std::uint64_t item : {2, 5})
    kept.content.failed[OutcomeClass::bad_result].insert(item);
  kept.content.failed[OutcomeClass::bad_line].insert(7);
  kept.content.counts.completed = 7;
  kept.content.counts.failed = 3;
  kept.content.mark = 10;
  return kept;
}

JobEntry job_in(JobState state) {
  JobEntry job;
  job.id = JobId{7};
  job.state = state;
  ErrorList errors(2);
  errors[0].cls = OutcomeClass::bad_result;
  errors[0].count = errors[0].final = 2;
  errors[1].cls = OutcomeClass::bad_line;
  errors[1].count = errors[1].final = 1;
  job.errors = std::make_shared<const ErrorList>(std::move(errors));
  return job;
}

ReopenJob retry(std::vector<OutcomeClass> classes) {
  ReopenJob wanted{JobId{7}, {}, {}};
  wanted.retry = std::move(classes);
  return wanted;
}

} // namespace

TEST_CASE("a retry opens the failed items of the classes that are named, and no others") {
  const auto [classes, items] =
      GENERATE(table<std::vector<OutcomeClass>, std::vector<std::uint64_t>>({
          {{}, {2, 5, 7}},
          {{OutcomeClass::bad_result}, {2, 5}},
          {{OutcomeClass::bad_line, OutcomeClass::rate}, {7}},
      }));
  const auto again = run_again(job_in(JobState::finished), kept(), retry(classes));
  REQUIRE(again);
  std::vector<std::uint64_t> reopened;
  for (const journal::Reopened& one : again->reopened) reopened.push_back(one.item);
  CHECK(reopened == items);
  const journal::RecoveredJob& content = again->kept.content;
  for (std::uint64_t item = 0; item < 10; ++item)
    CHECK(content.terminal.contains(item) ==
          (std::find(items.begin(), items.end(), item) == items.end()));
  CHECK(content.counts.failed == 3 - items.size());
  CHECK(content.counts.total == 10);
  CHECK(content.mark == 0); // where they stand is not known any more
  std::uint64_t final = 0;
  for (const CountedError& error : again->errors) final += error.final;
  CHECK(final == 3 - items.size());
}

TEST_CASE("of an item that is opened again only the parts that failed are") {
  KeptJob job = kept();
  job.content.parts[5] = {{{1, 0}, {2, 0}}, {3}};
  job.content.parts[7] = {{{1, 0}}, {2}};
  const auto again =
      run_again(job_in(JobState::finished), std::move(job), retry({OutcomeClass::bad_result}));
  REQUIRE(again);
  const auto& parts = again->kept.content.parts;
  CHECK(parts.at(5).answered == std::map<std::uint32_t, std::uint32_t>{{1, 0}, {2, 0}});
  CHECK(parts.at(5).failed.empty());
  CHECK(parts.at(7).failed == std::set<std::uint32_t>{2});
}

TEST_CASE("a job that is complete has nothing to go on with, unless it grows or something failed") {
  const JobEntry job = job_in(JobState::finished);
  CHECK_FALSE(run_again(job, kept(), ReopenJob{JobId{7}, {}, {}}));
  const auto none = run_again(job, kept(), retry({OutcomeClass::rate}));
  REQUIRE_FALSE(none);
  CHECK(none.error().code == ErrorCode::conflict);
  ReopenJob grows{JobId{7}, job.spec, {}};
  grows.spec->limits.items = 20;
  CHECK(run_again(job, kept(), grows));
  CHECK(run_again(job_in(JobState::failed), kept(), ReopenJob{JobId{7}, {}, {}}));
}

TEST_CASE("a job goes on as its items stood if none of them is opened again") {
  const auto again = run_again(job_in(JobState::failed), kept(), ReopenJob{JobId{7}, {}, {}});
  REQUIRE(again);
  CHECK(again->reopened.empty());
  CHECK(again->kept.content.mark == 10);
  CHECK(again->kept.content.counts.total == 10);
}

TEST_CASE("a budget may be changed where there was one, or where nothing is in flight") {
  PoolSpec pool;
  pool.model = "m";
  pool.price = {1'000'000, 1'000'000};
  pool.max_output_tokens = 100;
  JobEntry job = job_in(JobState::paused);
  job.spec.shape.models = {"m"};
  ReopenJob wanted{JobId{7}, {}, {}};
  CHECK_FALSE(spec_to_run(job, wanted, {})->has_value()); // as it is
  wanted.budget = nano_usd(2'000);
  const auto had = GENERATE(0u, 1'000u);
  const bool open = GENERATE(false, true);
  job.open = open;
  job.spec.limits.budget = nano_usd(had);
  const auto spec = spec_to_run(job, wanted, {pool});
  CHECK(spec.has_value() == (!open || had != 0));
  if (spec) CHECK((*spec)->limits.budget == nano_usd(2'000));
  CHECK_FALSE(spec_to_run(job, wanted, {})); // its calls have no price
}

TEST_CASE("an open job keeps its specification, but for its budget") {
  JobEntry job = job_in(JobState::paused);
  ReopenJob wanted{JobId{7}, job.spec, {}};
  wanted.spec->policy.retries = 9;
  CHECK(spec_to_run(job, wanted, {})->value().policy.retries == 9);
  job.open = true;
  CHECK_FALSE(spec_to_run(job, wanted, {})->has_value());
}

TEST_CASE("a job is found as the journal holds it; one that cannot be read has failed") {
  journal::RecoveredJob job;
  job.job = JobId{7};
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  job.spec = to_json(spec);
  job.ended_at = 4'000; // of one that runs: it waits since then
  job.failed[OutcomeClass::bad_line].insert(3);
  job.counts.failed = 1;
  const JobEntry entry = entry_of(job);
  CHECK(entry.spec == spec);
  CHECK(entry.waits_since == 4'000);
  CHECK(entry.ended_at == 0);
  REQUIRE(entry.errors->size() == 1); // known by its line alone
  CHECK(entry.errors->front().final == 1);
  job.state = JobState::paused;
  CHECK(entry_of(job).waits_since == 0);
  job.state = JobState::finished;
  CHECK(entry_of(job).ended_at == 4'000);
  CHECK(entry_of(job).counts.total_known);
  job.spec = "{";
  CHECK(entry_of(job).state == JobState::failed);
  CHECK_FALSE(entry_of(job).detail.empty());
}

} // namespace kept_job_test
