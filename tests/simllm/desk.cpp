#include "desk.hpp"

#include <functional>

namespace gristmill::simllm {
namespace {

RateLimits limits_of(const LiveSettings& settings) {
  return {{settings.requests_per_minute, settings.tokens_per_minute, settings.input_per_minute,
           settings.output_per_minute},
          settings.burst_s};
}

constexpr std::uint64_t answer_unsaid = 4'096; // tokens, of a request that does not say

// What a provider that charges beforehand takes is all that the answer might have.
TokenCharge charge_of(const Arrival& arrival, bool reserved) {
  return {arrival.call.prompt_tokens,
          reserved ? arrival.call.max_tokens.value_or(answer_unsaid) : arrival.completion_tokens};
}

std::size_t inputs_of(const Call& call) {
  return call.route == Route::embeddings ? call.items.size() : 0;
}

} // namespace

Desk::Desk(const Options& options)
    : seed_(options.seed), settings_(options.live), latency_(LatencyLaw::parse(settings_.latency)),
      faults_(settings_.faults), limits_(limits_of(settings_)), slots_(settings_.slots),
      prefixes_(PrefixCacheLaw::parse(options.prefix_cache)), log_(options.log),
      log_bodies_(options.log_bodies), wording_(options.wording) {}

Verdict Desk::admit(const Arrival& arrival, Now now) {
  // Hashed outside the lock: it reads the whole text.
  const std::uint64_t text_key = std::hash<std::string_view>{}(arrival.call.text);
  const std::lock_guard lock(mutex_);
  Verdict verdict;
  verdict.arrival = ++arrivals_;
  verdict.created_s = now.unix_s;
  counters_.arrived(arrival.attempt);
  judge(verdict, arrival, {arrival.call.crc, texts_.bump(text_key)}, now);
  verdict.summary = {.status = verdict.status,
                     .healthy = verdict.status == 200 && !verdict.fault,
                     .prompt_tokens = arrival.call.prompt_tokens,
                     .completion_tokens = arrival.completion_tokens,
                     .prefix = verdict.served ? prefixes_.key_of(arrival.call.first_text) : 0};
  log(verdict, arrival, now);
  return verdict;
}

void Desk::judge(Verdict& verdict, const Arrival& arrival, Sighting seen, Now now) {
  decide(verdict, arrival, seen, now);
  verdict.limits.wording = wording_;
}

void Desk::decide(Verdict& verdict, const Arrival& arrival, Sighting seen, Now now) {
  const Call& call = arrival.call;
  if (!arrival.key_accepted || !call.problem.empty()) {
    verdict.status = arrival.key_accepted ? 400 : 401;
    return;
  }
  const std::size_t inputs = inputs_of(call);
  if (settings_.inputs_max != 0 && inputs > settings_.inputs_max) {
    verdict.status = 422;
    verdict.inputs_max = settings_.inputs_max;
    return;
  }
  verdict.fault = faults_.pick(seed_, {call.text, call.model, inputs, call.route == Route::chat},
                               seen, verdict.arrival);
  if (verdict.fault) {
    counters_.faulted(verdict.fault->kind);
    verdict.status = verdict.fault->status();
    if (!verdict.fault->after_service()) return;
  } else {
    verdict.limits = limits_.admit(charge_of(arrival, settings_.charge_reserved), now.boot_ns);
    if (verdict.limits.refused()) {
      verdict.status = 429;
      counters_.rate_limited();
      return;
    }
  }
  verdict.served = true;
  verdict.latency_us = latency_.draw_us(seed_, seen);
  const auto& cache = prefixes_.law();
  if (const auto key = prefixes_.key_of(call.first_text); key != 0 && prefixes_.holds(key)) {
    verdict.cached_tokens = (cache.bytes + 3) / 4;
    verdict.latency_us =
        static_cast<std::uint64_t>(static_cast<double>(verdict.latency_us) / cache.factor);
  }
}

void Desk::log(const Verdict& verdict, const Arrival& arrival, Now now) {
  if (!log_.enabled()) return;
  std::optional<std::string_view> body;
  if (log_bodies_) body = arrival.call.problem.empty() ? arrival.body : "";
  log_.add({.n = verdict.arrival,
            .t_ns = now.boot_ns,
            .attempt = arrival.attempt,
            .path = arrival.path,
            .model = arrival.call.model,
            .crc = arrival.call.crc,
            .status = verdict.status,
            .fault = verdict.fault ? name_of(verdict.fault->kind) : "",
            .prompt_tokens = arrival.call.prompt_tokens,
            .completion_tokens = verdict.served ? arrival.completion_tokens : 0,
            .connection = arrival.connection,
            .latency_us = verdict.latency_us,
            .cached_tokens = verdict.cached_tokens,
            .inputs = inputs_of(arrival.call),
            .body = body});
}

bool Desk::take_slot(Ticket ticket) {
  const std::lock_guard lock(mutex_);
  return slots_.take(ticket);
}

std::optional<Ticket> Desk::finish(const CallSummary& call, Outcome outcome, bool held_slot) {
  const std::lock_guard lock(mutex_);
  if (outcome == Outcome::answered) {
    counters_.answered(call);
    prefixes_.keep(call.prefix);
  } else {
    counters_.abandoned();
  }
  return held_slot ? slots_.give_back() : std::nullopt;
}

std::optional<Ticket> Desk::pass_slot_on() {
  const std::lock_guard lock(mutex_);
  return slots_.give_back();
}

std::uint64_t Desk::connected() {
  const std::lock_guard lock(mutex_);
  counters_.connected();
  return ++connections_made_;
}

void Desk::disconnected() {
  const std::lock_guard lock(mutex_);
  counters_.disconnected();
}

std::vector<Ticket> Desk::change(const Change& change) {
  const std::lock_guard lock(mutex_);
  change.apply_to(settings_);
  if (change.latency) latency_ = LatencyLaw::parse(settings_.latency);
  if (change.faults) faults_ = FaultScript(settings_.faults);
  if (change.changes_limits()) limits_ = limits_of(settings_);
  if (change.reset_stats) counters_.reset();
  return change.slots ? slots_.set_limit(settings_.slots) : std::vector<Ticket>{};
}

void Desk::flush_log() {
  const std::lock_guard lock(mutex_);
  log_.flush();
}

std::string Desk::metrics(std::string_view model) {
  std::uint64_t running = 0, waiting = 0;
  {
    const std::lock_guard lock(mutex_);
    running = slots_.running();
    waiting = slots_.waiting();
  }
  const auto gauge = [model](const char* name, const char* help, std::uint64_t value) {
    const std::string full = std::string("vllm:") + name;
    return "# HELP " + full + " " + help + "\n# TYPE " + full + " gauge\n" + full +
           "{engine=\"0\",model_name=\"" + std::string(model) + "\"} " + std::to_string(value) +
           ".0\n";
  };
  return gauge("num_requests_running", "Number of requests in model execution batches.", running) +
         gauge("num_requests_waiting", "Number of requests waiting to be processed.", waiting);
}

std::string Desk::stats_json() {
  const std::lock_guard lock(mutex_);
  log_.flush();
  return counters_.to_json();
}

} // namespace gristmill::simllm
