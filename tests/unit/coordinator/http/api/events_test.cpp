// Who gets a stream of events.
#include "coordinator/http/api/events.hpp"

#include "tests/unit/coordinator/http/api/resource_harness.hpp"

namespace events_test {

using namespace gristmill;
using namespace gristmill::resource_test;

TEST_CASE("a stream of events is opened while there is room for one") {
  NotingNode node{.says = [](const Question& question) {
    const auto* show = std::get_if<wiring::ShowJob>(&question);
    return show != nullptr && show->job == JobId{8} ? refusal(ErrorCode::not_found, "no such job")
                                                    : job_answer();
  }};
  EventsResource events{node.ask()};
  std::vector<HttpResponse> open;
  while (open.size() < JobEvents::streams_max) {
    open.push_back(call(events, {"GET", "/api/v1/events", {{"all", "true"}}}));
    REQUIRE(open.back().stream != nullptr);
    CHECK(open.back().content_type == "text/event-stream");
  }
  CHECK(call(events, {"GET", "/api/v1/events"}).status == 503);
  CHECK(call(events, {"GET", "/api/v1/jobs/job-7/events"}).status == 503);
  CHECK(call(events, {"GET", "/api/v1/events", {{"all", "1"}}}).status == 400);
  CHECK(call(events, {"GET", "/api/v1/jobs/job-8/events"}).status == 404);
}

} // namespace events_test
