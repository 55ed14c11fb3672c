// One job as clients see it, from what the desk and COORDINATOR know of it.
#include "actors/jobs/job_view.hpp"

#include "actors/jobs/wait_news.hpp"

#include <catch2/catch.hpp>

namespace job_view_test {

using namespace gristmill;
using namespace gristmill::jobs;
using namespace std::chrono_literals;

namespace {

const Moment moment{time_from_ns(0) + 1h, 5'000};

JobEntry job_in(JobState state) {
  JobEntry job;
  job.id = JobId{7};
  job.state = state;
  return job;
}

JobStanding standing(WaitKind kind, std::uint32_t in_flight = 0) {
  JobStanding standing;
  standing.in_flight = in_flight;
  standing.urgent = true;
  standing.reason.kind = kind;
  standing.reason.endpoint = "http://a";
  standing.reason.since = moment.now - 3s;
  standing.at_endpoint.error = CountedError{};
  standing.at_endpoint.error->sample = "no room";
  return standing;
}

JobView view(JobState state, WaitKind kind, const std::string& disk = {}) {
  return view_of(job_in(state), standing(kind, 2), disk, "/out.jsonl", moment);
}

} // namespace

TEST_CASE("a view says why its job waits, where, and for how long") {
  const JobView waits = view(JobState::running, WaitKind::breaker);
  CHECK(waits.counts.in_flight == 2);
  CHECK(waits.output == "/out.jsonl");
  CHECK(waits.urgent);
  CHECK(waits.waiting_for == WaitKind::breaker);
  CHECK(waits.waiting_at == "http://a");
  CHECK(waits.waiting_s == Approx(3));
  CHECK_THAT(waits.why_waiting, Catch::Contains("no room"));
  // It makes all the calls that it may make: it does not wait.
  CHECK(view(JobState::running, WaitKind::calls_allowed).why_waiting.empty());
  CHECK(view(JobState::finished, WaitKind::breaker).why_waiting.empty());
  CHECK_FALSE(view(JobState::finished, WaitKind::breaker).urgent);
}

TEST_CASE("a full disk is seen as a pause that ends by itself") {
  const JobView full = view(JobState::running, WaitKind::none, "the disk is full");
  CHECK(full.state == JobState::paused);
  CHECK(full.reason == JobReason::disk);
  CHECK(full.detail == "the disk is full; the job goes on by itself");
  CHECK(view(JobState::paused, WaitKind::none, "the disk is full").reason == JobReason::none);
  CHECK(view(JobState::failed, WaitKind::none, "the disk is full").state == JobState::failed);
}

TEST_CASE("a job that waits for its endpoints for a quarter of an hour is told aloud, once") {
  WaitNews news;
  JobEntry job = job_in(JobState::running);
  const auto alarms = [&](std::int64_t unix_now) {
    std::size_t aloud = 0;
    for (const Event& event : news.told(job, {}, {}, {moment.now, unix_now}))
      aloud += event.name == "job.waits_for_long" && event.warning;
    return aloud;
  };
  CHECK(alarms(5'000) == 0);
  job.waits_since = 5'000;
  CHECK(alarms(5'899) == 0);
  CHECK(alarms(5'900) == 1);
  CHECK(alarms(9'000) == 0);
  job.waits_since = 9'000;
  CHECK(alarms(9'900) == 1);
}

} // namespace job_view_test
