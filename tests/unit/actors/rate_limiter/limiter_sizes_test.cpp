// What RATE LIMITER keeps of jobs, endpoints and earlier lives, once they are over.
#include "actors/rate_limiter/rate_limiter.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace limiter_sizes_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace std::chrono_literals;

namespace {

const Time start = time_from_ns(0) + 1h;

Sizes sizes_of(const RateLimiter& limiter) {
  Sizes sizes;
  limiter.measure(sizes);
  return sizes;
}

} // namespace

TEST_CASE("days of earlier lives go when they are over, also of an account that never opens") {
  RateLimiter limiter{Epoch{2}, {}};
  limiter.days_recovered({{"a", start + 1h, 5, 500, start}, {"b", start + 2h, 5, 500, start}});
  static_cast<void>(limiter.reserve(start));
  CHECK(sizes_of(limiter).at("limiter.days of earlier lives") == 2);
  static_cast<void>(limiter.reserve(start + 1h - 1ns));
  CHECK(sizes_of(limiter).at("limiter.days of earlier lives") == 2);
  static_cast<void>(limiter.reserve(start + 1h + 10min));
  CHECK(sizes_of(limiter).at("limiter.days of earlier lives") == 1);
  static_cast<void>(limiter.reserve(start + 3h));
  CHECK(sizes_of(limiter).at("limiter.days of earlier lives") == 0);
}

TEST_CASE("of a job that is closed, and endpoints that are gone, nothing is kept after a while") {
  RateLimiter limiter{Epoch{1}, {}};
  for (std::uint32_t n = 1; n <= 3; ++n) {
    const EndpointId id{n};
    EndpointSpec endpoint;
    endpoint.url = "http://e" + std::to_string(n) + "/v1";
    endpoint.limits.requests_per_minute = 60;
    limiter.endpoint_added({id, "", endpoint, SessionId{}}, start);
    JobBudget job;
    job.job = JobId{n};
    job.endpoints = {id};
    job.money.cap = nano_usd(1'000);
    limiter.job_opened(job, start);
    static_cast<void>(limiter.acquire({SessionId{1}, Nonce{1}, {{CallId{n}, JobId{n}}}}, start));
  }
  CHECK(sizes_of(limiter).at("limiter.jobs") == 3);
  CHECK(sizes_of(limiter).at("limiter.accounts") == 6);
  for (std::uint32_t n = 1; n <= 3; ++n) {
    limiter.job_closed(JobId{n});
    limiter.endpoint_gone(EndpointId{n}, start);
  }
  for (Time now = start; now < start + 10min; now += 10s)
    for (const journal::BlockNote& note : limiter.reserve(now)) limiter.durable(note.block);
  for (const auto& [name, entries] : sizes_of(limiter)) {
    INFO(name);
    CHECK(entries == 0);
  }
}

} // namespace limiter_sizes_test
