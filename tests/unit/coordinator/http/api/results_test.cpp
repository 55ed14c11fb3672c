// When a result is sent, when it is made again first, and when there is none.
#include "coordinator/http/api/results.hpp"

#include "tests/unit/coordinator/http/api/resource_harness.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

namespace results_test {

using namespace gristmill;
using nlohmann::json;
using namespace gristmill::resource_test;
using store_test::append_to;
using store_test::TempDirectory;

namespace {

const Request wanted{"GET", "/api/v1/jobs/job-7/results"};
const Request summary{"GET", "/api/v1/jobs/job-7/summary"};

} // namespace

TEST_CASE("a result is sent from where the node says that it stands") {
  const TempDirectory temp;
  NotingNode node{
      .says = [&](const Question&) { return job_answer(JobState::finished, temp / "out"); }};
  append_to(temp / "out", "line\n");
  append_to(temp / "out.summary.json", "{}\n");
  ResultsResource results{node.ask()};
  const HttpResponse lines = call(results, wanted);
  REQUIRE(lines.stream != nullptr);
  CHECK(content_of(*lines.stream) == "line\n");
  CHECK(lines.content_type == "application/x-ndjson");
  const HttpResponse about = call(results, summary);
  REQUIRE(about.stream != nullptr);
  CHECK(content_of(*about.stream) == "{}\n");
  CHECK(about.content_type == "application/json");
  CHECK(node.asked.size() == 2);
}

TEST_CASE("a result that was moved away is made again, once") {
  const TempDirectory temp;
  bool can = true;
  NotingNode node{.says = [&](const Question& question) {
    if (std::holds_alternative<wiring::MergeAgain>(question)) {
      if (!can) return refusal(ErrorCode::io, "no directory");
      append_to(temp / "out", "again\n");
    }
    return job_answer(JobState::cancelled, temp / "out");
  }};
  ResultsResource results{node.ask()};
  SECTION("and sent") {
    const HttpResponse lines = call(results, wanted);
    REQUIRE(lines.stream != nullptr);
    CHECK(content_of(*lines.stream) == "again\n");
    CHECK(node.at<wiring::MergeAgain>(1).job == JobId{7});
  }
  SECTION("or it cannot be") {
    can = false;
    CHECK(json::parse(call(results, wanted).body)["error"]["message"] == "no directory");
  }
  SECTION("and whoever asks for what is still not there is told so") {
    CHECK(call(results, summary).status == 500);
    CHECK(node.asked.size() == 2);
  }
}

TEST_CASE("a job that is not over, or has failed, has no result, and none is made") {
  auto state = JobState::running;
  NotingNode node{.says = [&](const Question&) { return job_answer(state, "/nowhere"); }};
  ResultsResource results{node.ask()};
  for (const JobState none : {JobState::running, JobState::paused, JobState::merging,
                              JobState::cancelling, JobState::failed}) {
    state = none;
    CHECK(call(results, wanted).status == 409);
  }
  CHECK(node.asked.size() == 5);
  node.says = [](const Question&) { return refusal(ErrorCode::not_found, "no such job"); };
  CHECK(call(results, wanted).status == 404);
}

} // namespace results_test
