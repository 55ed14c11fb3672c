// Which endpoints there are, who reaches them, and what calls cost there: only pools, jobs and ids.
#include "actors/coordinator/endpoints/endpoint_directory.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace endpoint_directory_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

EndpointSpec at(std::string url) {
  EndpointSpec endpoint;
  endpoint.url = std::move(url);
  return endpoint;
}

std::vector<PoolSpec> two_pools() {
  std::vector<PoolSpec> pools(2);
  pools[0].model = "small";
  pools[0].price = {1'000'000, 2'000'000};
  pools[0].endpoints = {at("http://a"), at("http://b")};
  pools[1].model = "large";
  pools[1].endpoints = {at("http://a")};
  return pools;
}

JobSpec of_model(std::string model, std::string own = "") {
  JobSpec spec;
  spec.shape.models = ModelNames::of(std::move(model));
  if (!own.empty()) spec.endpoints = {at(std::move(own))};
  return spec;
}

protocol::Hello announcing(std::string model, std::string url, std::uint64_t process = 1) {
  protocol::Hello hello;
  hello.process = Nonce{process};
  hello.endpoints.push_back({std::move(model), at(std::move(url))});
  return hello;
}

std::vector<EndpointId> ids_of(const std::vector<EndpointOffer>& offers) {
  std::vector<EndpointId> ids;
  for (const EndpointOffer& offer : offers) ids.push_back(offer.id);
  return ids;
}

protocol::Outcome outcome_at(EndpointId endpoint, OutcomeClass cls = OutcomeClass::ok) {
  protocol::Outcome outcome;
  outcome.attempt = AttemptId{1};
  outcome.endpoint = endpoint;
  outcome.cls = cls;
  outcome.http_status = cls == OutcomeClass::ok ? 200 : 500;
  outcome.usage.known = true;
  outcome.usage.prompt = 10;
  outcome.usage.completion = 3;
  return outcome;
}

} // namespace

TEST_CASE("an endpoint has one id for each pool, and one for each process that announces it") {
  EndpointDirectory directory{two_pools()};
  const auto pooled = ids_of(directory.started());
  REQUIRE(pooled.size() == 3);
  CHECK(pooled[0] != pooled[2]);
  const auto first = ids_of(directory.announced(SessionId{1}, announcing("small", "http://w", 1)));
  const auto other = ids_of(directory.announced(SessionId{2}, announcing("small", "http://w", 2)));
  const auto again = ids_of(directory.announced(SessionId{3}, announcing("small", "http://w", 1)));
  CHECK(first != other);
  CHECK(first == again);
  CHECK(directory.url_of(first[0]) == "http://w");
  directory.gone(other);
  CHECK(directory.url_of(other[0]).empty());
}

TEST_CASE("a job's own endpoint is listed until the last job that names it is closed") {
  EndpointDirectory directory{two_pools()};
  directory.started();
  const auto own = ids_of(directory.job_opened(JobId{7}, of_model("", "http://own"), {}));
  REQUIRE(own.size() == 1);
  CHECK(ids_of(directory.job_opened(JobId{8}, of_model("", "http://own"), {})) == own);
  CHECK(directory.job_opened(JobId{9}, of_model("small"), {}).empty());
  CHECK(directory.of_job(JobId{9}).size() == 3);
  CHECK(directory.of_job(JobId{7}).size() == 1);
  CHECK(directory.is_reached(own[0], {}));
  CHECK(directory.job_closed(JobId{7}).empty());
  CHECK(directory.job_closed(JobId{9}).empty());
  CHECK(directory.job_closed(JobId{8}) == own);
  CHECK(directory.job_closed(JobId{8}).empty());
  CHECK_FALSE(directory.is_reached(own[0], {}));
}

TEST_CASE("a call goes to whoever reaches its model: through a pool, or an endpoint of their own") {
  EndpointDirectory directory{{}};
  directory.job_opened(JobId{7}, of_model("small"), {});
  directory.job_opened(JobId{8}, of_model(""), {});
  directory.job_opened(JobId{9}, of_model("", "http://own"), {});
  CHECK(directory.why_unserved(JobId{7}));
  CHECK_FALSE(directory.reaches(JobId{7}, "", {}));
  CHECK(directory.reaches(JobId{9}, "", {}));
  const auto small = ids_of(directory.announced(SessionId{1}, announcing("small", "http://w")));
  CHECK_FALSE(directory.why_unserved(JobId{7}));
  CHECK(directory.reaches(JobId{7}, "", small));
  CHECK_FALSE(directory.reaches(JobId{7}, "", {}));
  CHECK_FALSE(directory.reaches(JobId{7}, "large", small));
  CHECK(directory.reaches(JobId{8}, "", small)); // the only model that there is
  directory.announced(SessionId{2}, announcing("large", "http://v", 2));
  CHECK_FALSE(directory.reaches(JobId{8}, "", small));
  CHECK_THAT(directory.why_item_unserved(""), Catch::Contains("several are served"));
}

TEST_CASE("a call is made elsewhere only if all of a worker's endpoints serve one model") {
  EndpointDirectory directory{{}};
  directory.job_opened(JobId{7}, of_model("small"), {});
  directory.job_opened(JobId{8}, of_model("", "http://own"), {});
  const auto mine = ids_of(directory.announced(SessionId{1}, announcing("small", "http://a", 1)));
  const auto other = ids_of(directory.announced(SessionId{2}, announcing("small", "http://b", 2)));
  const auto large = ids_of(directory.announced(SessionId{1}, announcing("large", "http://a", 3)));
  CHECK(directory.serve_elsewhere(JobId{7}, mine, other));
  CHECK_FALSE(directory.serve_elsewhere(JobId{8}, mine, other));
  CHECK_FALSE(directory.serve_elsewhere(JobId{7}, mine, mine));
  CHECK_FALSE(directory.serve_elsewhere(JobId{7}, mine, large));
  CHECK_FALSE(directory.serve_elsewhere(JobId{7}, {mine[0], large[0]}, other));
  CHECK_FALSE(directory.serve_elsewhere(JobId{7}, {}, other));
}

TEST_CASE("jobs are rivals where one endpoint may serve both") {
  EndpointDirectory directory{two_pools()};
  directory.started();
  directory.job_opened(JobId{1}, of_model("small"), {});
  directory.job_opened(JobId{2}, of_model("large"), {});
  directory.job_opened(JobId{3}, of_model(""), {});
  directory.job_opened(JobId{4}, of_model("", "http://x"), {});
  directory.job_opened(JobId{5}, of_model("", "http://y"), {});
  const auto ids = [](std::initializer_list<std::uint32_t> values) {
    std::vector<JobId> jobs;
    for (const std::uint32_t value : values) jobs.push_back(JobId{value});
    return jobs;
  };
  CHECK(directory.rivals_of(JobId{1}) == ids({3, 4, 5}));
  CHECK(directory.rivals_of(JobId{3}) == ids({1, 2, 4, 5}));
  CHECK(directory.rivals_of(JobId{4}) == ids({1, 2, 3}));
  CHECK(directory.rivals_of(JobId{6}).empty());
}

TEST_CASE("a model that no pool has and nobody announces is never served") {
  EndpointDirectory directory{two_pools()};
  directory.started();
  directory.job_opened(JobId{7}, of_model(""), {});
  CHECK(directory.why_never_served(JobId{7}, "small").empty());
  CHECK(directory.why_never_served(JobId{7}, "").empty());
  CHECK_THAT(directory.why_never_served(JobId{7}, "other"), Catch::Contains("large, small"));
  CHECK_THAT(directory.why_refused(of_model("other")), Catch::Contains("large, small"));
  EndpointDirectory open{{}};
  open.job_opened(JobId{7}, of_model(""), {});
  CHECK(open.why_never_served(JobId{7}, "other").empty()); // a worker may come with it
}

TEST_CASE("a call costs its pool's price, within what was reserved, and what is charged is not "
          "counted again") {
  EndpointDirectory directory{two_pools()};
  const auto pooled = ids_of(directory.started());
  directory.job_opened(JobId{7}, of_model("small"), {});
  Assigned given{.job = JobId{7}};
  CHECK(directory.cost_of(outcome_at(pooled[0]), given).amount == nano_usd(16'000));
  CHECK(directory.cost_of(outcome_at(pooled[2]), given).amount ==
        nano_usd(0)); // "large" has no price
  given.charged = true;
  CHECK(directory.cost_of(outcome_at(pooled[0]), given).amount == nano_usd(0));
  JobSpec capped = of_model("small");
  capped.limits.budget = nano_usd(1'000'000);
  directory.job_opened(JobId{8}, capped, nano_usd(20'000));
  Assigned reserved{.job = JobId{8}, .note = {.most_cost = nano_usd(9'000)}};
  CHECK(directory.cost_of(outcome_at(pooled[0]), reserved).amount == nano_usd(9'000));
  const Assigned earlier{.job = JobId{8}, .earlier = true};
  CHECK(directory.cost_of(outcome_at(pooled[0]), earlier).amount == nano_usd(16'000));
  CHECK(directory.cost_of(outcome_at(pooled[0]), earlier).amount ==
        nano_usd(4'000)); // all that was left
}

TEST_CASE("what an endpoint has met is told once, shown, and forgotten with it") {
  EndpointDirectory directory{two_pools()};
  const auto pooled = ids_of(directory.started());
  CHECK_FALSE(directory.ended(outcome_at(pooled[1]), JobId{7}, start)); // nothing went wrong
  const auto event =
      directory.ended(outcome_at(pooled[1], OutcomeClass::transient), JobId{7}, start);
  REQUIRE(event);
  CHECK(event->name == "call.failed");
  CHECK_FALSE(directory.ended(outcome_at(pooled[1], OutcomeClass::transient), JobId{7}, start));
  CHECK_FALSE(
      directory.ended(outcome_at(EndpointId{99}, OutcomeClass::transient), JobId{7}, start));
  CHECK(directory.errors_at("http://a") == nullptr);
  REQUIRE(directory.errors_at("http://b") != nullptr);
  const auto gone = directory.announced(SessionId{1}, announcing("small", "http://w"));
  directory.ended(outcome_at(gone[0].id, OutcomeClass::transient), JobId{7}, start);
  const auto views = directory.pools(false, {{gone[0].id, "worker"}}, start + 5s, 100);
  REQUIRE(views.size() == 2);
  CHECK(views[0].model == "large");
  REQUIRE(views[1].endpoints.size() == 3);
  CHECK_FALSE(views[1].endpoints[0].last_error);
  REQUIRE(views[1].endpoints[1].last_error);
  CHECK(views[1].endpoints[1].last_error->at == 95);
  CHECK(views[1].endpoints[2].worker == "worker");
  directory.gone(ids_of(gone));
  CHECK(directory.errors_at("http://w") == nullptr);
}

TEST_CASE("where a key is refused the endpoints are counted that could be asked instead") {
  EndpointDirectory directory{two_pools()};
  const auto pooled = ids_of(directory.started());
  directory.job_opened(JobId{7}, of_model("small"), {});
  const auto own = ids_of(directory.job_opened(JobId{8}, of_model("", "http://own"), {}));
  CHECK(directory.alternatives_of(JobId{7}, pooled[0]) == 2);
  CHECK(directory.alternatives_of(JobId{7}, pooled[2]) == 1);
  CHECK(directory.alternatives_of(JobId{8}, own[0]) == 1);
}

} // namespace endpoint_directory_test
