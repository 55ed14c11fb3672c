// What the routes of jobs ask the node, and what they make of its answers.
#include "coordinator/http/api/jobs.hpp"

#include "coordinator/http/api/job_json.hpp"
#include "tests/unit/coordinator/http/api/resource_harness.hpp"
#include "tests/unit/coordinator/inputs/uploads_harness.hpp"
#include "tests/unit/nano_usd.hpp"

#include <filesystem>

namespace jobs_test {

using namespace gristmill;
using nlohmann::json;
using namespace gristmill::resource_test;

namespace {

struct Jobs {
  std::filesystem::path directory = [] {
    char name[] = "/tmp/gristmill-jobs-test-XXXXXX";
    return std::filesystem::path{::mkdtemp(name)};
  }();
  std::unique_ptr<Uploads> uploads = std::move(uploads_test::open_uploads(directory).value());
  JobInputs inputs{*uploads, {}, {}};
  NotingNode node{.says = [](const Question&) { return job_answer(); }};
  JobsResource jobs{node.ask(), inputs};

  ~Jobs() { std::filesystem::remove_all(directory); }
};

} // namespace

TEST_CASE("a job is shown as the node has it, after whatever was done with it") {
  Jobs stage;
  const std::string job = nlohmann::ordered_json(json_of(job_answer().jobs[0])).dump() + "\n";
  for (const Request& request :
       {Request{"GET", "/api/v1/jobs/job-7"}, Request{"POST", "/api/v1/jobs/job-7/cancel"},
        Request{"POST", "/api/v1/jobs/job-7/pause"}, Request{"POST", "/api/v1/jobs/job-7/resume"},
        Request{"POST", "/api/v1/jobs/job-7/retry"}, Request{"DELETE", "/api/v1/jobs/job-7"}}) {
    INFO(request.method << " " << request.path);
    const HttpResponse shown = call(stage.jobs, request);
    CHECK(shown.status == 200);
    CHECK(shown.body == job);
  }
  CHECK(stage.node.at<wiring::ShowJob>(0).job == JobId{7});
  CHECK(stage.node.at<wiring::CancelJob>(1).job == JobId{7});
  CHECK(stage.node.at<wiring::PauseJob>(2).job == JobId{7});
  CHECK_FALSE(stage.node.at<wiring::ReopenJob>(3).retry.has_value());
  CHECK(stage.node.at<wiring::ReopenJob>(4).retry.has_value());
  CHECK(stage.node.at<wiring::ForgetJob>(5).job == JobId{7});
}

TEST_CASE("what the node refuses is what the client is told, with its status") {
  Jobs stage;
  const auto status = [&](ErrorCode code) {
    stage.node.says = [code](const Question&) { return refusal(code, "because"); };
    const HttpResponse refused = call(stage.jobs, {"POST", "/api/v1/jobs/job-7/resume"});
    CHECK(json::parse(refused.body)["error"]["message"] == "because");
    CHECK(call(stage.jobs, {"DELETE", "/api/v1/jobs/job-7"}).status == refused.status);
    CHECK(call(stage.jobs, {"GET", "/api/v1/jobs"}).status == refused.status);
    return refused.status;
  };
  CHECK(status(ErrorCode::usage) == 400);
  CHECK(status(ErrorCode::not_found) == 404);
  CHECK(status(ErrorCode::conflict) == 409);
  CHECK(status(ErrorCode::unavailable) == 503);
}

TEST_CASE("a job is resumed with its budget or another one, and retried by classes") {
  Jobs stage;
  call(stage.jobs, {"POST", "/api/v1/jobs/job-7/resume", {}, R"({"budget_usd":1.5})"});
  CHECK(stage.node.at<wiring::ReopenJob>(0).budget == nano_usd(1'500'000'000));
  call(stage.jobs, {"POST", "/api/v1/jobs/job-7/retry", {{"class", "timeout"}}});
  CHECK(stage.node.at<wiring::ReopenJob>(1).retry->size() == 1);
  CHECK(call(stage.jobs, {"POST", "/api/v1/jobs/job-7/retry", {{"class", "luck"}}}).status == 400);
  CHECK(call(stage.jobs, {"POST", "/api/v1/jobs/job-7/resume", {}, "[]"}).status == 400);
  CHECK(stage.node.asked.size() == 2);
}

TEST_CASE("what is no job is not there, and nobody is asked for it") {
  Jobs stage;
  for (const char* path : {"/api/v1/jobs/seven", "/api/v1/jobs/job-", "/api/v1/jobs/job-7x"}) {
    INFO(path);
    CHECK(call(stage.jobs, {"GET", path}).status == 404);
    CHECK(call(stage.jobs, {"DELETE", path}).status == 404);
  }
  CHECK(stage.node.asked.empty());
}

} // namespace jobs_test
