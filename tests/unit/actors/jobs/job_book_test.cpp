// The jobs of a coordinator and the changes of their states.
#include "actors/jobs/job_book.hpp"

#include <catch2/catch.hpp>

namespace job_book_test {

using namespace gristmill;
using namespace gristmill::jobs;

namespace {

JobSpec good_spec() {
  JobSpec spec;
  spec.inputs = {{"/data/a.jsonl", "a.jsonl"}};
  spec.shape.models = {"m"};
  return spec;
}

JobEntry entry_of(std::uint32_t id, JobState state) {
  JobEntry entry;
  entry.id = JobId{id};
  entry.state = state;
  return entry;
}

} // namespace

TEST_CASE("jobs are numbered in the order in which they come, also after a restart") {
  JobBook book{false};
  book.recovered(entry_of(7, JobState::finished));
  book.recovered(entry_of(3, JobState::running));
  const auto change = book.submit(good_spec(), 1'000);
  REQUIRE(change);
  CHECK(change->job == JobId{8});
  CHECK(change->directory == "jobs/8");
  CHECK(change->state == JobState::running);
  CHECK(change->at == 1'000);
  CHECK(job_spec_from_json(change->spec).value() == good_spec());
  REQUIRE(book.find(JobId{8}));
  CHECK(book.find(JobId{8})->created_at == 1'000);
  CHECK_FALSE(book.find(JobId{8})->open);
  CHECK(book.submit(good_spec(), 1'001)->job == JobId{9});
}

TEST_CASE("the one job of a run has its segments in the state directory itself") {
  JobBook book{true};
  CHECK(book.submit(good_spec(), 0)->directory.empty());
}

TEST_CASE("a specification with faults is refused with all of them and makes no job") {
  JobBook book{false};
  JobSpec spec = good_spec();
  spec.inputs.clear();
  spec.shape.id_field.clear();
  const auto change = book.submit(spec, 0);
  REQUIRE_FALSE(change);
  CHECK(change.error().code == ErrorCode::usage);
  CHECK(change.error().message.find("; ") != std::string::npos);
  CHECK(book.jobs().empty());
  CHECK(book.submit(good_spec(), 0)->job == JobId{1});
}

TEST_CASE("a job changes to another state until it is over, and then never") {
  const auto [before, next, changes] = GENERATE(table<JobState, JobState, bool>({
      {JobState::running, JobState::running, false},
      {JobState::running, JobState::cancelling, true},
      {JobState::paused, JobState::running, true},
      {JobState::merging, JobState::finished, true},
      {JobState::finished, JobState::running, false},
      {JobState::finished, JobState::failed, false},
      {JobState::cancelled, JobState::running, false},
      {JobState::failed, JobState::finished, false},
  }));
  CAPTURE(name_of(before), name_of(next));
  JobBook book{false};
  book.recovered(entry_of(1, before));
  const auto change = book.change(JobId{1}, {next, JobReason::user, "why"}, 2'000);
  CHECK(change.has_value() == changes);
  const JobEntry& job = *book.find(JobId{1});
  CHECK(job.state == (changes ? next : before));
  CHECK(job.detail == (changes ? "why" : ""));
  CHECK(job.ended_at == (changes && is_over(next) ? 2'000 : 0));
  if (!change) return;
  CHECK(change->state == next);
  CHECK(change->reason == JobReason::user);
  CHECK(change->detail == "why");
  CHECK(change->spec.empty());
}

TEST_CASE("a user's pause holds over one that the job came to by itself, and not the other way") {
  JobBook book{false};
  book.recovered(entry_of(1, JobState::running));
  CHECK(book.change(JobId{1}, {JobState::paused, JobReason::endpoint, "away"}, 0));
  CHECK(book.change(JobId{1}, {JobState::paused, JobReason::user, "asked"}, 0));
  CHECK_FALSE(book.change(JobId{1}, {JobState::paused, JobReason::endpoint, "away"}, 0));
  CHECK_FALSE(book.change(JobId{1}, {JobState::paused, JobReason::user, "again"}, 0));
  CHECK(book.find(JobId{1})->reason == JobReason::user);
  CHECK(book.find(JobId{1})->detail == "asked");
}

TEST_CASE("a job that nobody submitted cannot change") {
  JobBook book{false};
  CHECK_FALSE(book.change(JobId{1}, {JobState::failed, {}, ""}, 0));
  CHECK(book.find(JobId{1}) == nullptr);
}

} // namespace job_book_test
