// What the routes of workers, pools and health ask the node, and what they make of its answers.
#include "coordinator/http/api/workers.hpp"

#include "coordinator/http/api/health.hpp"
#include "coordinator/http/api/pools.hpp"
#include "tests/unit/coordinator/http/api/resource_harness.hpp"

namespace workers_test {

using namespace gristmill;
using nlohmann::json;
using namespace gristmill::resource_test;

TEST_CASE("a worker is drained by what stands in the path") {
  NotingNode node{.says = [](const Question&) {
    wiring::Answer answer;
    answer.workers.emplace_back().name = "gpu 3";
    return answer;
  }};
  WorkersResource workers{node.ask()};
  const HttpResponse drained = call(workers, {"POST", "/api/v1/workers/gpu 3/drain"});
  CHECK(drained.status == 200);
  CHECK(json::parse(drained.body)["workers"][0]["name"] == "gpu 3");
  CHECK(node.at<wiring::DrainWorker>(0).worker == "gpu 3");
  CHECK(call(workers, {"GET", "/api/v1/workers"}).body == drained.body);
  node.at<wiring::ListWorkers>(1);
}

TEST_CASE("pools are those that are configured, without what only jobs name") {
  NotingNode node{.says = [](const Question&) {
    wiring::Answer answer;
    answer.pools.emplace_back().model = "m";
    return answer;
  }};
  PoolsResource pools{node.ask()};
  CHECK(json::parse(call(pools, {"GET", "/api/v1/pools"}).body)["pools"][0]["model"] == "m");
  CHECK_FALSE(node.at<wiring::ListPools>(0).of_jobs);
}

TEST_CASE("whoever lives says so by itself, and whoever is ready asks the node") {
  NotingNode node{.says = [](const Question&) { return wiring::Answer{}; }};
  HealthResource health{node.ask()};
  CHECK(call(health, {"GET", "/healthz"}).body == "{\"status\":\"ok\"}\n");
  CHECK(node.asked.empty());
  CHECK(call(health, {"GET", "/readyz"}).body == "{\"status\":\"ready\"}\n");
  node.says = [](const Question&) { return refusal(ErrorCode::unavailable, "the disk is full"); };
  CHECK(call(health, {"GET", "/readyz"}).status == 503);
  CHECK(call(health, {"GET", "/healthz"}).status == 200);
  for (const Route& route : health.routes()) CHECK(route.is_for_all);
}

} // namespace workers_test
