// What a scrape says of jobs, workers and endpoints, to the letter.
#include "coordinator/http/api/metrics_text.hpp"
#include "tests/unit/nano_usd.hpp"

#include <catch2/catch.hpp>

namespace metrics_text_test {

using namespace gristmill;
using namespace gristmill::coordinator;

namespace {

bool says(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

wiring::JobView job_of(std::uint32_t id, JobState state) {
  wiring::JobView job;
  job.id = JobId{id};
  job.state = state;
  return job;
}

} // namespace

TEST_CASE("a scrape says of a job what status says") {
  wiring::JobView job = job_of(7, JobState::running);
  job.counts = {1000, true, {11, 12, 13, 14, 15},   600, 40, 3, 16, 650, 700, 55, 2, 0, 1, 123456,
                7890, 0,    nano_usd(1'500'000'000)};
  job.waiting_for = WaitKind::tokens;
  job.waiting_at = "http://a/v1";
  job.budget = nano_usd(2'250'000'000);
  const std::string text = metrics_of({{job}, {}, {}}, 1000);
  for (const char* line :
       {"gristmill_job_dropped_total{job=\"job-7\",by=\"where\"} 11",
        "gristmill_job_dropped_total{job=\"job-7\",by=\"empty\"} 12",
        "gristmill_job_dropped_total{job=\"job-7\",by=\"sample\"} 13",
        "gristmill_job_normalised_total{job=\"job-7\"} 14",
        "gristmill_jobs{state=\"running\"} 1",
        "gristmill_jobs{state=\"failed\"} 0",
        "gristmill_job_calls_total{job=\"job-7\"} 650",
        "gristmill_job_cached_total{job=\"job-7\"} 55",
        "gristmill_job_state{job=\"job-7\",state=\"running\",reason=\"\"} 1",
        "gristmill_job_waiting{job=\"job-7\",reason=\"tokens\",endpoint=\"http://a/v1\"} 1",
        "gristmill_job_items{job=\"job-7\"} 1000",
        "gristmill_job_input_read{job=\"job-7\"} 1",
        "gristmill_job_results_total{job=\"job-7\",result=\"completed\"} 600",
        "gristmill_job_results_total{job=\"job-7\",result=\"failed\"} 40",
        "gristmill_job_items_retrying{job=\"job-7\"} 3",
        "gristmill_job_calls_in_flight{job=\"job-7\"} 16",
        "gristmill_job_attempts_total{job=\"job-7\"} 700",
        "gristmill_job_ambiguous_total{job=\"job-7\"} 2",
        "gristmill_job_late_total{job=\"job-7\"} 1",
        "gristmill_job_tokens_total{job=\"job-7\",kind=\"prompt\"} 123456",
        "gristmill_job_tokens_total{job=\"job-7\",kind=\"completion\"} 7890",
        "gristmill_job_cost_usd_total{job=\"job-7\"} 1.5",
        "gristmill_job_budget_usd{job=\"job-7\"} 2.25",
        "# TYPE gristmill_job_attempts_total counter",
        "# TYPE gristmill_job_items gauge"}) {
    INFO(line << "\n" << text);
    CHECK(says(text, line));
  }
}

TEST_CASE("errors are counted by class, for a job and for an endpoint, final ones apart") {
  wiring::JobView job = job_of(7, JobState::running);
  job.errors = std::make_shared<const ErrorList>(
      ErrorList{{OutcomeClass::rate, "a", 429, 300, 0, "w", "", "", 1},
                {OutcomeClass::rate, "b", 429, 5, 1, "w", "", "", 1},
                {OutcomeClass::bad_line, "c", 400, 2, 2, "w", "", "", 1}});
  PoolView pool;
  pool.model = "m";
  EndpointView endpoint;
  endpoint.url = "http://a/v1";
  endpoint.errors = *job.errors;
  pool.endpoints.push_back(endpoint);
  const std::string text = metrics_of({{job}, {}, {pool}}, 1000);
  const std::string a =
      "gristmill_endpoint_errors_total{model=\"m\",url=\"http://a/v1\",worker=\"\"";
  for (const std::string& line :
       {std::string{"gristmill_job_errors_total{job=\"job-7\",class=\"rate\",final=\"false\"} 304"},
        std::string{"gristmill_job_errors_total{job=\"job-7\",class=\"rate\",final=\"true\"} 1"},
        std::string{
            "gristmill_job_errors_total{job=\"job-7\",class=\"bad_line\",final=\"true\"} 2"},
        a + ",class=\"rate\"} 305", a + ",class=\"bad_line\"} 2"}) {
    INFO(line << "\n" << text);
    CHECK(says(text, line));
  }
}

TEST_CASE("a job that does not wait has no reason, and one that is paused says who paused it") {
  wiring::JobView job = job_of(7, JobState::paused);
  job.reason = JobReason::budget;
  const std::string text = metrics_of({{job}, {}, {}}, 1000);
  CHECK(says(text, "gristmill_job_state{job=\"job-7\",state=\"paused\",reason=\"budget\"} 1"));
  CHECK(text.find("gristmill_job_waiting") == text.npos);
  CHECK(text.find("gristmill_job_budget_usd") == text.npos);
}

TEST_CASE("a job's series end a quarter of an hour after it, its number stays") {
  wiring::JobView job = job_of(7, JobState::finished);
  job.ended_at = 1000;
  const auto shown = [&](std::int64_t now) {
    const std::string text = metrics_of({{job}, {}, {}}, now);
    CHECK(says(text, "gristmill_jobs{state=\"finished\"} 1"));
    return text.find("job=\"job-7\"") != text.npos;
  };
  CHECK(shown(1000 + after_end_s - 1));
  CHECK_FALSE(shown(1000 + after_end_s));
}

TEST_CASE("of the jobs that have just ended the last ones are shown, and all are counted") {
  std::vector<wiring::JobView> jobs;
  for (std::uint32_t id = 1; id <= shown_ended_max + 1; ++id) {
    jobs.push_back(job_of(id, JobState::finished));
    jobs.back().ended_at = 1000 + (id == 1 ? 5 : 0); // the first one ended last
  }
  jobs.push_back(job_of(shown_ended_max + 2, JobState::running));
  const std::string text = metrics_of({jobs, {}, {}}, 1010);
  CHECK(says(text, "gristmill_jobs{state=\"finished\"} 101"));
  const auto shown = [&](std::size_t id) {
    return text.find("{job=\"job-" + std::to_string(id) + "\"}") != text.npos;
  };
  CHECK(shown(1));
  CHECK_FALSE(shown(2));
  CHECK(shown(3));
  CHECK(shown(shown_ended_max + 1));
  CHECK(shown(shown_ended_max + 2));
}

TEST_CASE("numbers are whole as long as they can be") {
  wiring::JobView job = job_of(1, JobState::running);
  job.counts.prompt_tokens = 123'456'789'012'345;
  CHECK(says(metrics_of({{job}, {}, {}}, 0),
             "gristmill_job_tokens_total{job=\"job-1\",kind=\"prompt\"} 123456789012345"));
}

TEST_CASE("a scrape says how workers stand, whatever they are called") {
  WorkerView worker;
  worker.session = {(std::uint64_t{3} << 32) + 1};
  worker.name = "a\"b\\c\nd";
  worker.state = "active";
  worker.capacity = 256;
  worker.in_flight = 17;
  worker.held = 4;
  worker.completed = 1234;
  const std::string text = metrics_of({{}, {worker}, {}}, 0);
  const std::string labels =
      "{worker=\"a\\\"b\\\\c\\nd\",session=\"" + to_string(worker.session) + "\"";
  CHECK(says(text, "gristmill_workers 1"));
  CHECK(says(text, "gristmill_worker_state" + labels + ",state=\"active\"} 1"));
  CHECK(says(text, "gristmill_worker_capacity" + labels + "} 256"));
  CHECK(says(text, "gristmill_worker_calls_in_flight" + labels + "} 17"));
  CHECK(says(text, "gristmill_worker_calls_held" + labels + "} 4"));
  CHECK(says(text, "gristmill_worker_calls_total" + labels + "} 1234"));
}

TEST_CASE("a scrape says what is left of an endpoint's limits, and why it gets no calls") {
  PoolView pool;
  pool.model = "m";
  EndpointView endpoint;
  endpoint.url = "http://a/v1";
  EndpointStanding& standing = endpoint.standing;
  standing.limits.requests_per_minute = 60;
  standing.limits.tokens_per_day = 1'000'000;
  standing.used = {40, 5'000, 90, 300'000};
  standing.in_flight = 5;
  standing.slots = 128;
  standing.inputs = 32;
  standing.queue = protocol::QueueReport{EndpointId{1}, 7, 32};
  pool.endpoints.push_back(endpoint);
  standing.queue = {};
  standing.parked_ms = 1;
  standing.parked_for = WaitKind::breaker;
  endpoint.url = "http://b/v1";
  endpoint.worker = "w";
  pool.endpoints.push_back(endpoint);
  const std::string text = metrics_of({{}, {}, {pool}}, 0);
  const std::string a = "{model=\"m\",url=\"http://a/v1\",worker=\"\"";
  for (const std::string& line :
       {"gristmill_endpoint_limit" + a + ",window=\"requests_per_minute\"} 60",
        "gristmill_endpoint_used" + a + ",window=\"requests_per_minute\"} 40",
        "gristmill_endpoint_limit" + a + ",window=\"tokens_per_day\"} 1000000",
        "gristmill_endpoint_used" + a + ",window=\"tokens_per_day\"} 300000",
        "gristmill_endpoint_calls_in_flight" + a + "} 5",
        "gristmill_endpoint_concurrency_limit" + a + "} 128",
        "gristmill_endpoint_inputs_limit" + a + "} 32",
        "gristmill_endpoint_queue_waiting" + a + "} 7",
        "gristmill_endpoint_queue_running" + a + "} 32",
        "gristmill_endpoint_parked" + a + ",reason=\"\"} 0",
        std::string{"gristmill_endpoint_parked{model=\"m\",url=\"http://b/v1\",worker=\"w\","
                    "reason=\"breaker\"} 1"}}) {
    INFO(line << "\n" << text);
    CHECK(says(text, line));
  }
  CHECK(text.find("tokens_per_minute") == text.npos);                        // it has no such limit
  CHECK(text.find("queue_waiting{model=\"m\",url=\"http://b") == text.npos); // it says nothing
}

} // namespace metrics_text_test
