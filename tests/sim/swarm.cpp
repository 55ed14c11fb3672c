#include "tests/sim/swarm.hpp"

#include "protocol/job/usd.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <functional>

namespace gristmill::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::uint32_t between(Random& random, std::uint32_t low, std::uint32_t high) {
  return low + static_cast<std::uint32_t>(random.below(high - low + 1));
}

RateLimits limits_for(std::uint32_t items, std::uint32_t text_bytes_max, double chance,
                      Random& random) {
  RateLimits limits;
  // Tight enough that the job takes some minutes: only then can a window be exceeded.
  if (random.chance(chance)) limits.requests_per_minute = 2 + items / 4 + random.below(items);
  if (random.chance(chance / 3))
    limits.tokens_per_minute = (text_bytes_max + 350) * (1 + items / 8 + random.below(items));
  limits.strict_tokens = limits.tokens_per_minute != 0 && random.chance(0.6);
  if (random.chance(chance / 2)) limits.max_in_flight = between(random, 1, 8);
  return limits;
}

JobPlan draw_job(std::uint32_t items_max, Random& random) {
  JobPlan job;
  job.items = between(random, 1, items_max);
  job.text_bytes_max = random.chance(0.2) ? between(random, 100, 3'000) : 8;
  if (random.chance(0.2)) job.retries = between(random, 0, 4);
  job.limits = limits_for(job.items, job.text_bytes_max, 0.2, random);
  job.limits.strict_tokens = false; // a job's own budget is not
  job.by_completion = random.chance(0.2);
  if (random.chance(0.25)) job.bad = 0.3 * random.unit();
  if (random.chance(0.2)) job.too_long = 0.3 * random.unit();
  if (random.chance(0.5)) job.submit_at = random.between(milliseconds{0}, seconds{10});
  if (random.chance(0.15)) job.pause_at = random.between(milliseconds{10}, seconds{15});
  job.resume_after = random.between(milliseconds{50}, seconds{20});
  if (random.chance(0.1)) job.cancel_at = random.between(milliseconds{10}, seconds{20});
  job.retries_failed = random.chance(0.6);
  job.forgets = random.chance(0.2);
  return job;
}

void draw_faults(Swarm& swarm, bool quiet, Random& random) {
  const auto fault = [&](double share, double most) {
    return quiet || !random.chance(share) ? 0 : random.unit() * most;
  };
  swarm.drop = fault(0.6, 0.02);
  swarm.repeat = fault(0.2, 0.05);
  swarm.tail = fault(0.3, 0.03);
  swarm.slow_commit = fault(0.3, 0.05);
  swarm.disk_full = fault(0.2, 0.02);
  swarm.disk_broken = fault(0.1, 0.01);
  swarm.server_error = fault(0.7, 0.2);
  swarm.rate_refusal = fault(0.7, 0.1);
  swarm.reset = fault(0.7, 0.1);
  swarm.hang = fault(0.6, 0.02);
  swarm.no_usage = fault(0.3, 1);
  swarm.unauthorized = fault(0.05, 0.02);
  swarm.cut = fault(0.7, 0.03);
  swarm.partition = fault(0.3, 0.01);
  swarm.swizzle = fault(0.1, 0.005);
  swarm.worker_crash = fault(0.6, 0.02);
  swarm.silent_crash = fault(0.3, 0.3);
  swarm.for_good = fault(0.3, 0.2);
  swarm.worker_drain = fault(0.2, 0.01);
  swarm.stuck = fault(0.2, 0.1);
  swarm.pause = fault(0.6, 0.03);
  swarm.coordinator_crash = fault(0.6, 0.015);
  swarm.coordinator_pause = fault(0.3, 0.01);
  swarm.reboot = fault(0.2, 0.5);
  swarm.wall_step = fault(0.3, 0.02);
  swarm.crash_at_commit = fault(0.3, 0.02);
  swarm.pause_at_edge = fault(0.3, 0.1);
}

void draw_edge(Swarm& swarm, Random& random) {
  swarm.jobs.resize(1);
  JobPlan& job = swarm.jobs.front();
  job = {};
  job.items = between(random, 6, 20);
  job.text_bytes_max = 8;
  swarm.endpoints.assign(1, {between(random, 2, 6), 0, 0});
  if (random.chance(0.2)) swarm.endpoints[0] = {0, between(random, 400, 2'000), 0, true};
  swarm.workers = between(random, 1, 3);
  swarm.concurrency = between(random, 1, 6);
  swarm.network_mean = random.between(milliseconds{0}, milliseconds{2});
  swarm.commit_mean = random.between(milliseconds{1}, milliseconds{4});
  swarm.call_mean = random.between(milliseconds{5}, milliseconds{100});
  swarm.channel_max = std::chrono::microseconds{200};
  swarm.send_delay = {};
  swarm.coordinator_ppb = random.chance(0.8) ? 999'000 : -999'000;
  if (random.chance(0.3)) swarm.coordinator_crash = 0.004 * random.unit();
  if (random.chance(0.3)) swarm.pause_at_edge = 0.2;
  if (random.chance(0.3)) swarm.stuck = 0.2;
  if (random.chance(0.3)) swarm.tail = 0.2;
  if (random.chance(0.3)) swarm.worker_crash = 0.01;
  if (random.chance(0.3)) swarm.no_usage = random.unit();
  if (random.chance(0.3)) swarm.crash_at_commit = 0.01;
  swarm.faulty_phase = seconds{240};
}

// From what was drawn before, so that histories without a budget stay what they were.
void draw_budgets(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ swarm.network_mean.count())};
  if (!random.chance(0.25)) return;
  for (JobPlan& job : swarm.jobs) {
    if (!random.chance(0.7)) continue;
    // A call takes some 60 tokens, and may take some hundreds.
    const double tokens = 60.0 * job.items * (0.2 + random.unit()) + 320 + job.text_bytes_max;
    job.budget = Usd::from_nano(static_cast<std::uint64_t>(1'000 * tokens));
  }
}

// Likewise.
void draw_hedging(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ swarm.commit_mean.count())};
  if (!random.chance(0.6)) return;
  for (JobPlan& job : swarm.jobs)
    job.hedge_percent = random.chance(0.3) ? between(random, 1, 4) : between(random, 5, 100);
}

// Likewise. An announced endpoint has no limits.
void draw_days(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ swarm.call_mean.count())};
  if (swarm.serving == Serving::announced || !random.chance(0.2)) return;
  std::uint32_t text = 0;
  for (const auto& job : swarm.jobs) text = std::max(text, job.text_bytes_max);
  for (RateLimits& limits : swarm.endpoints) {
    if (random.chance(0.7)) limits.requests_per_day = between(random, 25, 80);
    if (random.chance(0.3)) limits.tokens_per_day = (text + 350) * between(random, 25, 80);
    if (limits.tokens_per_day != 0) limits.strict_tokens |= random.chance(0.6);
  }
  swarm.faulty_phase = std::max<Duration>(swarm.faulty_phase, 2 * sim_day);
}

// Likewise. A job's own endpoints have no such pages.
void draw_pages(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ swarm.commit_mean.count())};
  swarm.pages = swarm.serving != Serving::own && random.chance(0.15);
}

// Likewise. Only jobs beside others have something to share.
void draw_shares(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ swarm.call_mean.count())};
  if (swarm.jobs.size() < 2 || !random.chance(0.7)) return;
  for (JobPlan& job : swarm.jobs) {
    if (random.chance(0.5)) job.weight = random.chance(0.3) ? 1'000 : between(random, 2, 10);
    if (random.chance(0.4)) job.priority = random.chance(0.5) ? 100 : between(random, 0, 99);
    // Some are over before the job is there, some are far away.
    if (random.chance(0.3)) job.deadline = random.between(seconds{1}, seconds{400});
  }
}

// Likewise.
void draw_stage(Swarm& swarm, bool quiet) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ swarm.network_mean.count())};
  if (quiet) return;
  if (random.chance(0.3)) swarm.stall = 0.02 * random.unit();
  if (random.chance(0.15)) swarm.room_crash = 0.005 * random.unit();
  if (random.chance(0.2)) swarm.read_max = between(random, 100, 5'000);
}

// Likewise. Endpoints that come late, are full, or whose gateways have lost them.
void draw_outages(Swarm& swarm, bool quiet) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 5 * swarm.network_mean.count())};
  if (quiet) return;
  if (random.chance(0.3)) swarm.unavailable = 0.2 * random.unit();
  if (random.chance(0.2)) swarm.late = random.between(seconds{1}, seconds{60});
}

// Likewise. Items of several parts, and calls of several.
void draw_parts(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 7 * swarm.call_mean.count())};
  if (!random.chance(0.4)) return;
  for (JobPlan& job : swarm.jobs) {
    if (random.chance(0.6)) job.parts = between(random, 2, 4);
    if (random.chance(0.6)) job.pack = between(random, 2, 5);
    job.items = std::max(job.items / job.parts, 1u);
    job.budget = Usd::from_nano(10 * job.budget.nano()); // the least that one call may cost is more
  }
}

// So that the larger calls of such jobs fit into an endpoint's minute.
void grow_token_windows(Swarm& swarm, const std::function<bool(const JobPlan&)>& is_such) {
  if (!std::ranges::any_of(swarm.jobs, is_such)) return;
  for (RateLimits& limits : swarm.endpoints)
    if (limits.tokens_per_minute != 0)
      limits.tokens_per_minute = std::max<std::uint64_t>(limits.tokens_per_minute, 1'500);
}

// Likewise. Documents whose chunks' answers are reduced.
void draw_chunks(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 13 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs) {
    const bool divides = job.parts == 1 && !job.embeds() && random.chance(0.3);
    if (divides) job.parts = 2;
    if (!job.is_chunked()) continue;
    const std::uint32_t before = divides ? 1 : job.parts;
    if (job.models == 1 && random.chance(0.4)) job.parts = between(random, 4, 9);
    job.reduced = random.chance(0.6);
    if (random.chance(0.4)) job.open_most = between(random, 1, 3);
    job.items = std::max(job.items * before / job.parts, 1u);
    job.budget = Usd::from_nano(4 * job.budget.nano());
  }
  // Who joins answers is sent more than others are.
  grow_token_windows(
      swarm, [](const JobPlan& job) { return job.is_chunked() && (job.reduced || job.judged); });
}

// Likewise. Items that are asked of several models, and of a judge.
void draw_models(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 11 * swarm.call_mean.count())};
  if (swarm.serving != Serving::own || swarm.fallback || !random.chance(0.8)) return;
  for (JobPlan& job : swarm.jobs) {
    if (random.chance(0.6)) job.models = between(random, 2, 4);
    job.judged = random.chance(0.4) && !job.embeds();
    job.items = std::max(job.items / (job.models + job.judged), 1u);
    job.budget = Usd::from_nano(10 * job.budget.nano());
  }
}

// Likewise. Calls that begin small and become larger, until their endpoints refuse them.
void draw_packs(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 17 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs)
    if (job.embeds() && random.chance(0.5)) job.pack = between(random, 6, 40);
  if (random.chance(0.5)) swarm.inputs_max = between(random, 1, 12);
}

// Likewise. Answers that have to fit a schema, and do not.
void draw_schemas(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 19 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs) {
    job.checked = job.is_plain() && random.chance(0.4);
    if (job.checked) job.unruly = 0.4 * random.unit();
    job.budget = Usd::from_nano((job.checked ? 4 : 1) * job.budget.nano());
  }
  grow_token_windows(swarm, [](const JobPlan& job) { return job.checked; });
}

// Likewise. Items that ask the same.
void draw_twins(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 23 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs)
    if (random.chance(0.35)) job.distinct = between(random, 1, std::max(job.items / 2, 1u));
}

// Likewise. A cache, which earlier jobs have filled.
void draw_cache(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 29 * swarm.call_mean.count())};
  swarm.cache = random.chance(0.2);
  for (JobPlan& job : swarm.jobs)
    if (swarm.cache) job.known = 0.8 * random.unit();
}

// Likewise. Lines that are no items.
void draw_dropped(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 31 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs) {
    if (!random.chance(0.25)) continue;
    job.dropped = 0.6 * random.unit();
    if (random.chance(0.6)) job.sample_percent = between(random, 30, 90);
  }
}

// Likewise. Inputs that come while their jobs run.
void draw_growth(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 37 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs)
    if (!swarm.steady_work && random.chance(0.2))
      job.grows_for = random.between(seconds{1}, seconds{40});
}

// Likewise. Open jobs.
void draw_appends(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 41 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs) {
    if (swarm.steady_work || swarm.one_process || !random.chance(0.2)) continue;
    job.appends = between(random, 1, 6);
    job.append_every = random.between(milliseconds{200}, seconds{8});
    job.grows_for = {};
    job.sample_percent = 100; // it is drawn by input and line
  }
}

// Likewise. Documents that a tokenizer divides.
void draw_tokenizers(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 31 * swarm.call_mean.count())};
  for (JobPlan& job : swarm.jobs) job.counted = job.is_chunked() && random.chance(0.4);
}

// Likewise. Workers that ask for permits ahead, which at 20 ms none of these would.
void draw_ahead(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.worker_ppb ^ 43 * swarm.call_mean.count())};
  if (!random.chance(0.4)) return;
  swarm.ask_ahead = random.between(milliseconds{100}, seconds{3});
  // Permits that age, in windows that leave plenty.
  if (swarm.serving != Serving::announced && random.chance(0.5))
    for (RateLimits& limits : swarm.endpoints)
      if (limits.requests_per_minute == 0)
        limits.requests_per_minute = between(random, 3'000, 30'000);
  if (!swarm.one_process)
    swarm.outcomes_wait_most = random.between(milliseconds{1}, milliseconds{300});
}

// Likewise. A slow disk, under many jobs whose calls are much shorter than a commit.
void draw_slow_disk(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.coordinator_ppb ^ 3 * swarm.network_mean.count())};
  if (swarm.edge || !random.chance(0.1)) return;
  swarm.steady_commit = true;
  swarm.commit_mean = random.between(milliseconds{100}, seconds{3});
  if (swarm.one_process || !random.chance(0.3)) return;
  swarm.steady_work = true;
  JobPlan job;
  job.text_bytes_max = 8;
  job.items = between(random, 120, 200);
  swarm.jobs.assign(between(random, 4, 8), job);
  const RateLimits limits{random.chance(0.5) ? 0u : 60'000u, 0, 0};
  swarm.endpoints.assign(1, limits);
  swarm.workers = 2;
  swarm.concurrency = between(random, 3, 4);
  swarm.capacity_bytes = 1u << 20;
  swarm.network_mean = milliseconds{2};
  swarm.call_mean = milliseconds{400};
  swarm.channel_max = milliseconds{1};
  swarm.send_delay = swarm.poll = {};
  swarm.fallback = false;
  swarm.faulty_phase = seconds{120};
  draw_faults(swarm, true, random);
}

// Likewise.
void draw_bad_workers(Swarm& swarm) {
  Random random{static_cast<std::uint64_t>(swarm.network_mean.count() ^ swarm.commit_mean.count())};
  if (swarm.one_process || swarm.edge || swarm.steady_commit) return;
  if (random.chance(0.15)) swarm.lie = 0.1 * random.unit();
  if (swarm.workers > 1 && random.chance(0.15)) swarm.thread_hangs = 0.02;
}

} // namespace

Swarm Swarm::draw(Random& random) {
  Swarm swarm;
  const bool quiet = random.chance(0.2);
  swarm.edge = random.chance(0.2);
  swarm.one_process = random.chance(0.1);
  const std::uint32_t jobs = swarm.one_process || random.chance(0.6) ? 1 : between(random, 2, 3);
  for (std::uint32_t n = 0; n < jobs; ++n) swarm.jobs.push_back(draw_job(100 / jobs, random));
  swarm.serving = random.chance(0.5)                        ? Serving::own
                  : swarm.one_process || random.chance(0.6) ? Serving::pools
                                                            : Serving::announced;
  const std::uint32_t urls = between(random, 1, 2);
  std::uint32_t text = 0;
  for (const auto& job : swarm.jobs) text = std::max(text, job.text_bytes_max);
  for (std::uint32_t n = 0; n < urls; ++n)
    swarm.endpoints.push_back(limits_for(100 / urls, text, 0.45, random));
  swarm.fallback = random.chance(0.3);
  swarm.workers = between(random, 1, 5);
  swarm.concurrency = between(random, 1, 16);
  swarm.capacity_bytes = random.chance(0.3) ? 4'096 : 1u << 20;
  const auto off = [&] { return static_cast<std::int64_t>(random.below(1'999'000)) - 999'500; };
  swarm.coordinator_ppb = off();
  swarm.worker_ppb = off();
  swarm.network_mean = random.between(milliseconds{1}, milliseconds{120});
  swarm.commit_mean = random.between(milliseconds{1}, milliseconds{30});
  swarm.call_mean = random.between(milliseconds{5}, milliseconds{2'000});
  swarm.channel_max = random.chance(0.7) ? milliseconds{2} : milliseconds{20};
  draw_faults(swarm, quiet || swarm.edge, random);
  if (random.chance(0.2)) swarm.poll = random.between(milliseconds{50}, milliseconds{450});
  if (random.chance(0.1)) swarm.send_delay = random.between(milliseconds{150}, milliseconds{1'500});
  if (swarm.one_process) {
    swarm.outcomes_wait_most = {};
    // Threads of one process lose no frames and die together.
    swarm.drop = swarm.repeat = swarm.tail = swarm.cut = swarm.partition = swarm.swizzle = 0;
    swarm.worker_crash = swarm.worker_drain = swarm.pause = swarm.pause_at_edge = 0;
    swarm.network_mean = std::chrono::microseconds{100};
  }
  bool windows = false;
  for (const auto& endpoint : swarm.endpoints) windows |= endpoint.windows();
  for (const auto& job : swarm.jobs) windows |= job.limits.windows();
  swarm.faulty_phase = windows ? seconds{120} : seconds{30};
  if (swarm.edge) draw_edge(swarm, random);
  draw_slow_disk(swarm);
  if (swarm.steady_work) return swarm;
  draw_budgets(swarm);
  draw_hedging(swarm);
  draw_days(swarm);
  draw_pages(swarm);
  draw_shares(swarm);
  draw_bad_workers(swarm);
  draw_stage(swarm, quiet || swarm.edge);
  draw_outages(swarm, quiet || swarm.edge);
  draw_parts(swarm);
  draw_models(swarm);
  draw_chunks(swarm);
  draw_packs(swarm);
  draw_schemas(swarm);
  draw_twins(swarm);
  draw_dropped(swarm);
  draw_growth(swarm);
  draw_cache(swarm);
  draw_tokenizers(swarm);
  draw_appends(swarm);
  draw_ahead(swarm);
  return swarm;
}

bool Swarm::has_days() const {
  return std::any_of(endpoints.begin(), endpoints.end(), [](const RateLimits& limits) {
    return limits.requests_per_day != 0 || limits.tokens_per_day != 0;
  });
}

std::string Swarm::text() const {
  static constexpr std::string_view servings[]{"own", "pools", "announced"};
  std::string text = fmt::format(
      "{}{}{}{} workers of {}, clocks {} and {} ppb; net {} ms, commit {} ms, call {} ms; {} "
      "endpoints{}",
      edge ? "edge, " : "", one_process ? "one process, " : "",
      steady_work     ? "steady commits and work, "
      : steady_commit ? "steady commits, "
                      : "",
      workers, concurrency, coordinator_ppb, worker_ppb, to_ms(network_mean), to_ms(commit_mean),
      to_ms(call_mean), servings[static_cast<std::size_t>(serving)], pages ? " with pages" : "");
  for (const auto& e : endpoints)
    text += fmt::format(" [{} {} {} {} {}]", e.requests_per_minute, e.tokens_per_minute,
                        e.max_in_flight, e.requests_per_day, e.tokens_per_day);
  for (const auto& job : jobs) {
    text += fmt::format("; job of {} items [{} {} {}{}]", job.items, job.limits.requests_per_minute,
                        job.limits.tokens_per_minute, job.limits.max_in_flight,
                        job.budget ? " " + in_dollars(job.budget, 4) : "");
    if (job.weight != 1 || job.priority != 50)
      text += fmt::format(" weight {}, priority {}", job.weight, job.priority);
    if (job.parts > 1) text += fmt::format(" of {} parts", job.parts);
    if (job.reduced) text += ", reduced,";
    if (job.counted) text += ", counted,";
    if (job.models > 1) text += fmt::format(" at {} models", job.models);
    if (job.judged) text += " and a judge";
    if (job.pack > 1)
      text += fmt::format(", {} parts a call, {} are taken", job.pack,
                          inputs_max == 0 ? "all" : std::to_string(inputs_max));
    if (job.checked) text += fmt::format(", {:.2f} of it unruly", job.unruly);
    if (job.known > 0) text += fmt::format(", {:.2f} of it in the cache", job.known);
    if (job.distinct > 0) text += fmt::format(", {} of them distinct", job.distinct);
    if (job.appends > 0) text += fmt::format(", {} appends", job.appends);
    if (job.grows_for != Duration::zero()) text += ", grows";
    if (job.drops())
      text += fmt::format(", {:.0f}% of lines dropped, {}% sampled", 100 * job.dropped,
                          job.sample_percent);
    if (job.deadline != Duration::zero())
      text += fmt::format(", due after {} s", job.deadline / seconds{1});
  }
  return text;
}

} // namespace gristmill::sim
