// What an event costs COORDINATOR where thousands of jobs wait: no more than where there are few.
#include "tests/unit/actors/coordinator/coordinator_harness.hpp"

#include <algorithm>
#include <ctime>

namespace coordinator_scale_test {

using namespace gristmill;
using namespace gristmill::coordinator_test;

namespace {

double cpu_seconds() {
  timespec spent{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &spent);
  return static_cast<double>(spent.tv_sec) + 1e-9 * static_cast<double>(spent.tv_nsec);
}

OfferedCall call_of(JobId job, std::uint64_t n) {
  OfferedCall call;
  call.planned.call = CallId{(std::uint64_t{job.value} << 32) | n};
  call.planned.parts = {{PartId{job, n, 0}, ItemKind::batch_line, {}}};
  call.token_bound = 10;
  return call;
}

// So many jobs whose supervisors have offered what they were asked for.
struct Crowd {
  explicit Crowd(std::uint32_t jobs) {
    for (std::uint32_t job = 1; job <= jobs; ++job) come(JobId{job});
  }
  void come(JobId job) {
    std::vector<EndpointId> endpoints;
    JobSpec spec = with_endpoint();
    spec.endpoints[0].url = "http://h" + std::to_string(job.value % 100);
    const auto effects = coordinator.job_opened(job, spec, endpoints, now);
    wanted += effects.jobs.contains(job) ? room_of(effects.jobs.at(job)).calls : 0;
    for (std::uint64_t n = 1; n <= 4; ++n) coordinator.offered(job, {call_of(job, n)}, now);
  }

  Time now = time_from_ns(0) + 1h;
  coordinator::Coordinator coordinator{{epoch, "", {}}, now};
  std::uint64_t wanted = 0;
};

double cost_of_one_more(std::uint32_t jobs) {
  Crowd waiting{jobs};
  double least = 1e9;
  for (int attempt = 0; attempt < 7; ++attempt) {
    const double before = cpu_seconds();
    for (int i = 0; i < 100; ++i) {
      waiting.come(JobId{20'000});
      waiting.coordinator.job_closed(JobId{20'000}, waiting.now);
    }
    least = std::min(least, cpu_seconds() - before);
  }
  return least;
}

} // namespace

TEST_CASE("a job comes, offers and goes at the same cost beside 100 jobs and beside 10,000") {
  CHECK(cost_of_one_more(10'000) / cost_of_one_more(100) < 8);
}

TEST_CASE("each of many jobs is asked for calls, and for more of them when workers come") {
  constexpr std::uint32_t jobs = 1'000;
  Crowd waiting{jobs};
  CHECK(waiting.wanted == 64u * jobs);
  Bench bench;
  for (std::uint32_t job = 1; job <= jobs; ++job) {
    std::vector<EndpointId> endpoints;
    bench.hear(bench.coordinator.job_opened(JobId{job}, with_endpoint(), endpoints, bench.now));
  }
  bench.take();
  Speaker worker{1, 1'000};
  bench.join(worker);
  const auto asked = bench.take();
  CHECK(asked.jobs.size() == jobs);
  for (const auto& [id, news] : asked.jobs) CHECK(room_of(news).calls > 0);
}

} // namespace coordinator_scale_test
