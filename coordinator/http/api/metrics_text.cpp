#include "coordinator/http/api/metrics_text.hpp"

#include "protocol/version.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <map>
#include <prometheus/text_serializer.h>
#include <sstream>
#include <string_view>
#include <utility>

namespace gristmill::coordinator {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

// Families in the order in which they are first named.
class Families {
public:
  void gauge(std::string_view name, std::string_view help, Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.gauge.value = value;
    add(MetricType::Gauge, name, help, std::move(metric));
  }
  void counter(std::string_view name, std::string_view help, Labels labels, std::uint64_t value) {
    counter(name, help, std::move(labels), static_cast<double>(value));
  }
  void counter(std::string_view name, std::string_view help, Labels labels, double value) {
    ClientMetric metric;
    metric.label = std::move(labels);
    metric.counter.value = value;
    add(MetricType::Counter, name, help, std::move(metric));
  }

  std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer{}.Serialize(out, all_);
    return out.str();
  }

private:
  void add(MetricType type, std::string_view name, std::string_view help, ClientMetric metric) {
    const auto [known, is_new] = places_.try_emplace(std::string{name}, all_.size());
    if (is_new) all_.push_back({std::string{name}, std::string{help}, type, {}});
    all_[known->second].metric.push_back(std::move(metric));
  }

  std::vector<MetricFamily> all_;
  std::map<std::string, std::size_t> places_;
};

Labels with(Labels labels, std::string name, std::string_view value) {
  labels.push_back({std::move(name), std::string{value}});
  return labels;
}

void add_counts(Families& to, const Labels& job, const JobCounts& counts) {
  to.gauge("gristmill_job_items", "Items of the job's input that have been read.", job,
           static_cast<double>(counts.total));
  to.gauge("gristmill_job_input_read", "1: the whole input has been read.", job,
           counts.total_known ? 1 : 0);
  constexpr std::string_view dropped = "Records of the input that became no items.";
  const Preprocessed& before = counts.preprocessed;
  to.counter("gristmill_job_dropped_total", dropped, with(job, "by", "where"), before.where);
  to.counter("gristmill_job_dropped_total", dropped, with(job, "by", "empty"), before.empty);
  to.counter("gristmill_job_dropped_total", dropped, with(job, "by", "sample"), before.sample);
  to.counter("gristmill_job_normalised_total", "Items whose text was read in another spelling.",
             job, before.normalised);
  constexpr std::string_view results =
      "Items with a durable result; a retry takes failed ones back.";
  to.counter("gristmill_job_results_total", results, with(job, "result", "completed"),
             counts.completed);
  to.counter("gristmill_job_results_total", results, with(job, "result", "failed"), counts.failed);
  to.gauge("gristmill_job_items_retrying", "Items that wait for another attempt.", job,
           static_cast<double>(counts.retrying));
  to.gauge("gristmill_job_calls_in_flight", "Calls that are with a worker.", job,
           static_cast<double>(counts.in_flight));
  to.counter("gristmill_job_cached_total",
             "Items, or parts of them, that took the answer to an equal request.", job,
             counts.cached);
  to.counter("gristmill_job_calls_total", "Calls that have ended.", job, counts.calls);
  to.counter("gristmill_job_attempts_total", "Attempts at items that have ended.", job,
             counts.attempts);
  to.counter("gristmill_job_ambiguous_total", "Calls whose outcome nobody knows.", job,
             counts.ambiguous);
  to.counter("gristmill_job_late_total", "Outcomes of items that had their result already.", job,
             counts.late);
  constexpr std::string_view tokens = "Tokens that endpoints say they have used.";
  to.counter("gristmill_job_tokens_total", tokens, with(job, "kind", "prompt"),
             counts.prompt_tokens);
  to.counter("gristmill_job_tokens_total", tokens, with(job, "kind", "completion"),
             counts.completion_tokens);
  constexpr std::string_view saved = "Tokens of answers that were not asked for again.";
  to.counter("gristmill_job_saved_tokens_total", saved, with(job, "kind", "prompt"),
             counts.saved_prompt_tokens);
  to.counter("gristmill_job_saved_tokens_total", saved, with(job, "kind", "completion"),
             counts.saved_completion_tokens);
  to.counter("gristmill_job_saved_usd_total", "What those tokens would have cost, in US$.", job,
             counts.saved_cost.usd());
  to.counter("gristmill_job_cost_usd_total", "Cost of the tokens that have a price, in US$.", job,
             counts.cost.usd());
}

// Counters by class: how many causes are told apart is no matter of a metric's labels.
struct ErrorSums {
  std::uint64_t final = 0, retried = 0;
};
std::map<std::string_view, ErrorSums> sums_by_class(const ErrorList& errors) {
  std::map<std::string_view, ErrorSums> sums;
  for (const CountedError& error : errors) {
    ErrorSums& sum = sums[info(error.cls).name];
    sum.final += error.final;
    sum.retried += error.retried();
  }
  return sums;
}

void add_errors(Families& to, const Labels& job, const ErrorList& errors) {
  for (const auto& [name, sum] : sums_by_class(errors)) {
    const Labels of_class = with(job, "class", name);
    constexpr std::string_view help =
        "Errors that calls met; final: the item has failed by it, else it is tried again.";
    to.counter("gristmill_job_errors_total", help, with(of_class, "final", "true"), sum.final);
    to.counter("gristmill_job_errors_total", help, with(of_class, "final", "false"), sum.retried);
  }
}

void add_job(Families& to, const wiring::JobView& job) {
  const Labels labels{{"job", to_string(job.id)}};
  const bool has_reason = job.reason != JobReason::none;
  to.gauge("gristmill_job_state", "The state that the job is in, and what brought it there.",
           with(with(labels, "state", name_of(job.state)), "reason",
                has_reason ? name_of(job.reason) : ""),
           1);
  if (wiring::is_waiting(job.waiting_for))
    to.gauge("gristmill_job_waiting", "Why the job's next call does not begin; explain says more.",
             with(with(labels, "reason", name_of(job.waiting_for)), "endpoint", job.waiting_at), 1);
  if (wiring::is_waiting(job.waiting_for) && job.waiting_s >= 0)
    to.gauge("gristmill_job_waiting_seconds", "For how long it has waited so.",
             with(with(labels, "reason", name_of(job.waiting_for)), "endpoint", job.waiting_at),
             job.waiting_s);
  add_counts(to, labels, job.counts);
  if (job.errors) add_errors(to, labels, *job.errors);
  if (job.budget)
    to.gauge("gristmill_job_budget_usd", "What the job may cost in its whole life, in US$.", labels,
             job.budget.usd());
}

void add_worker(Families& to, const WorkerView& worker) {
  const Labels labels{{"worker", worker.name}, {"session", to_string(worker.session)}};
  to.gauge("gristmill_worker_state", "The state that the worker is in.",
           with(labels, "state", worker.state), 1);
  to.gauge("gristmill_worker_capacity", "The most calls that it takes at once.", labels,
           worker.capacity);
  to.gauge("gristmill_worker_calls_in_flight", "Calls that it is making.", labels,
           worker.in_flight);
  to.gauge("gristmill_worker_calls_held", "Calls that it holds and has not begun.", labels,
           worker.held);
  to.counter("gristmill_worker_calls_total", "Calls that it has ended.", labels, worker.completed);
}

void add_endpoint(Families& to, const std::string& model, const EndpointView& endpoint) {
  const EndpointStanding& standing = endpoint.standing;
  const RateLimits& limits = standing.limits;
  const WindowUse& used = standing.used;
  const Labels labels{{"model", model}, {"url", endpoint.url}, {"worker", endpoint.worker}};
  to.gauge("gristmill_endpoint_calls_in_flight", "Calls that are under way there.", labels,
           standing.in_flight);
  if (standing.slots != 0)
    to.gauge("gristmill_endpoint_concurrency_limit", "Calls in flight that it takes up, as found.",
             labels, standing.slots);
  if (standing.inputs != 0)
    to.gauge("gristmill_endpoint_inputs_limit", "Inputs of a call that it takes, as found.", labels,
             standing.inputs);
  if (standing.queue) {
    to.gauge("gristmill_endpoint_queue_waiting", "Requests that wait there, as it says.", labels,
             static_cast<double>(standing.queue->waiting));
    if (standing.queue->running >= 0)
      to.gauge("gristmill_endpoint_queue_running", "Requests that run there, as it says.", labels,
               static_cast<double>(standing.queue->running));
  }
  struct Window {
    const char* name;
    std::uint64_t limit, used;
  };
  for (const Window& window :
       {Window{"requests_per_minute", limits.requests_per_minute, used.requests_per_minute},
        Window{"tokens_per_minute", limits.tokens_per_minute, used.tokens_per_minute},
        Window{"requests_per_day", limits.requests_per_day, used.requests_per_day},
        Window{"tokens_per_day", limits.tokens_per_day, used.tokens_per_day}}) {
    if (window.limit == 0) continue;
    const Labels of_window = with(labels, "window", window.name);
    to.gauge("gristmill_endpoint_limit", "What a window of its account allows.", of_window,
             static_cast<double>(window.limit));
    to.gauge("gristmill_endpoint_used", "What calls have taken of that, reserved ones too.",
             of_window, static_cast<double>(window.used));
  }
  for (const auto& [name, sum] : sums_by_class(endpoint.errors))
    to.counter("gristmill_endpoint_errors_total", "Errors that calls met there.",
               with(labels, "class", name), sum.final + sum.retried);
  const bool parked = standing.parked_ms > 0;
  to.gauge("gristmill_endpoint_parked", "1: it gets no calls for now, for that reason.",
           with(labels, "reason", parked ? name_of(standing.parked_for) : ""), parked ? 1 : 0);
}

void add_numbers(Families& to, const ClusterView& cluster) {
  constexpr std::array states{JobState::running, JobState::paused,   JobState::cancelling,
                              JobState::merging, JobState::finished, JobState::cancelled,
                              JobState::failed};
  std::map<JobState, double> jobs;
  for (const wiring::JobView& job : cluster.jobs) ++jobs[job.state];
  for (const JobState state : states)
    to.gauge("gristmill_jobs", "Jobs that are known, by state.",
             {{"state", std::string{name_of(state)}}}, jobs[state]);
  to.gauge("gristmill_workers", "Sessions of workers.", {},
           static_cast<double>(cluster.workers.size()));
}

// Those that are not over, and the last ones that are, by their ids.
std::vector<const wiring::JobView*> shown_of(const std::vector<wiring::JobView>& jobs,
                                             std::int64_t unix_seconds) {
  std::vector<const wiring::JobView*> shown, ended;
  for (const wiring::JobView& job : jobs) {
    if (!is_over(job.state)) {
      shown.push_back(&job);
    } else if (unix_seconds < job.ended_at + after_end_s) {
      ended.push_back(&job);
    }
  }
  std::sort(ended.begin(), ended.end(), [](const auto* a, const auto* b) {
    return std::pair{a->ended_at, a->id} > std::pair{b->ended_at, b->id};
  });
  ended.resize(std::min(ended.size(), shown_ended_max));
  shown.insert(shown.end(), ended.begin(), ended.end());
  std::sort(shown.begin(), shown.end(), [](const auto* a, const auto* b) { return a->id < b->id; });
  return shown;
}

} // namespace

std::string metrics_of(const ClusterView& cluster, std::int64_t unix_seconds) {
  Families families;
  families.gauge("gristmill_build_info", "1, of this version.", {{"version", program_version}}, 1);
  add_numbers(families, cluster);
  for (const wiring::JobView* job : shown_of(cluster.jobs, unix_seconds)) add_job(families, *job);
  for (const WorkerView& worker : cluster.workers) add_worker(families, worker);
  for (const PoolView& pool : cluster.pools)
    for (const EndpointView& endpoint : pool.endpoints)
      add_endpoint(families, pool.model, endpoint);
  return families.text();
}

} // namespace gristmill::coordinator
