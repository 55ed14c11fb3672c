// What a scrape asks for, and what becomes of it when the node does not answer.
#include "coordinator/http/api/metrics.hpp"

#include "coordinator/http/api/metrics_text.hpp"
#include "tests/unit/coordinator/http/api/resource_harness.hpp"

namespace metrics_test {

using namespace gristmill;
using namespace gristmill::resource_test;

TEST_CASE("a scrape asks for all pages of jobs, then for workers, then for all endpoints") {
  NotingNode node{.says = [](const Question& question) {
    wiring::Answer answer = job_answer();
    const auto* list = std::get_if<wiring::ListJobs>(&question);
    if (list != nullptr && list->after.value == 0) answer.more = JobId{7};
    return answer;
  }};
  MetricsResource metrics{node.ask()};
  const HttpResponse scraped = call(metrics, {"GET", "/metrics"});
  CHECK(scraped.content_type == metrics_content_type);
  CHECK(scraped.body.find("gristmill_jobs{state=\"running\"} 2") != std::string::npos);
  REQUIRE(node.asked.size() == 4);
  CHECK(node.at<wiring::ListJobs>(1).after == JobId{7});
  node.at<wiring::ListWorkers>(2);
  CHECK(node.at<wiring::ListPools>(3).of_jobs);
}

TEST_CASE("a scrape that the node refuses in the middle is an error as a whole") {
  NotingNode node{.says = [](const Question& question) {
    return std::holds_alternative<wiring::ListWorkers>(question)
               ? refusal(ErrorCode::unavailable, "not now")
               : job_answer();
  }};
  MetricsResource metrics{node.ask()};
  CHECK(call(metrics, {"GET", "/metrics"}).status == 503);
}

} // namespace metrics_test
