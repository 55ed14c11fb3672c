// How an event stands in the log: a line that can be cut into fields again, for people and as JSON.
#include "actors/jobs/job_log.hpp"
#include "actors/kit/log.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace log_test {

using namespace gristmill;
using nlohmann::json;

namespace {

const Event event{"worker.lost", {{"name", "gpu 3"}, {"why", "a \"word\"\x1b[2J\n"}}, true};

json as_json(const Event& told, std::uint64_t left_out = 0) {
  return json::parse("{" + log_line(LogFormat::json, "coordinator", told, left_out));
}

jobs::JobEntry job_in(JobState state, JobReason reason = JobReason::none) {
  jobs::JobEntry job;
  job.id = JobId{7};
  job.state = state;
  job.reason = reason;
  job.detail = reason == JobReason::none ? "" : "because";
  job.created_at = 100;
  job.counts.total = 10;
  job.counts.completed = 8;
  job.counts.failed = 2;
  job.counts.calls = 15;
  job.counts.attempts = 20;
  return job;
}

Event changed(JobState state, JobReason reason = JobReason::none) {
  return jobs::job_changed(job_in(state, reason), state, 160);
}

} // namespace

TEST_CASE("a line has the event's name, its source and its fields") {
  CHECK(log_line(LogFormat::text, "coordinator", event, 0) ==
        "worker.lost source=coordinator name=\"gpu 3\" why=\"a \\\"word\\\" [2J \"");
  CHECK(log_line(LogFormat::text, "x", {"y", {}}, 3) == "y source=x left_out=3");
}

TEST_CASE("as JSON it has the same fields") {
  const json told = as_json(event);
  CHECK(told == json{{"event", "worker.lost"},
                     {"source", "coordinator"},
                     {"name", "gpu 3"},
                     {"why", "a \"word\" [2J "}});
  CHECK(as_json({"y", {}}, 3)["left_out"] == 3);
}

TEST_CASE("the log tells each step of a job's life, and warns of those that need somebody") {
  const auto told = [](const Event& step) { return as_json(step); };
  jobs::JobEntry job = job_in(JobState::running);
  job.spec.inputs = {{"/a", "a"}, {"/b", "b"}};
  job.spec.shape.models = {"m"};
  for (const char* url : {"http://a/v1", "http://b/v1"})
    job.spec.endpoints.emplace_back().url = url;
  const json submitted = told(jobs::job_submitted(job));
  CHECK(submitted["event"] == "job.submitted");
  CHECK(submitted["job"] == "job-7");
  CHECK(submitted["inputs"] == "2");
  CHECK(submitted["model"] == "m");
  CHECK(submitted["endpoints"] == "http://a/v1 http://b/v1");
  CHECK(told(jobs::job_started(job, {}))["event"] == "job.started");
  JobCounts before;
  before.completed = 5;
  CHECK(told(jobs::job_started(job, before))["done_before"] == "5");
  CHECK(told(jobs::job_resumed(job))["event"] == "job.resumed");

  const Event paused = changed(JobState::paused, JobReason::failures);
  CHECK(told(paused)["event"] == "job.paused");
  CHECK(told(paused)["reason"] == "failures");
  CHECK(told(paused)["why"] == "because");
  CHECK(paused.warning);
  CHECK_FALSE(changed(JobState::paused, JobReason::user).warning);
  CHECK(told(changed(JobState::cancelling, JobReason::user))["event"] == "job.cancelling");
  CHECK(told(changed(JobState::merging))["event"] == "job.merging");
  const Event ended = changed(JobState::finished);
  CHECK_FALSE(ended.warning);
  const json end = told(ended);
  CHECK(end["event"] == "job.ended");
  CHECK(end["state"] == "finished");
  CHECK(end["items"] == "10");
  CHECK(end["completed"] == "8");
  CHECK(end["failed"] == "2");
  CHECK(end["calls"] == "15");
  CHECK(end["seconds"] == "60");
  CHECK(changed(JobState::failed, JobReason::input).warning);
  // It has been resumed meanwhile, so what is known of it is not why it was paused.
  const json left = told(jobs::job_changed(job_in(JobState::running), JobState::paused, 160));
  CHECK(left["event"] == "job.paused");
  CHECK_FALSE(left.contains("why"));
}

} // namespace log_test
