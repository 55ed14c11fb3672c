#include "tests/sim/soak.hpp"

#include "tests/sim/world_parts.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::sim {
namespace {

using namespace std::chrono_literals;

constexpr auto sample_every = 60s;
constexpr auto job_every = 86'400s / 100;
// What chance may put into one half more than into the other. A list from which nothing is removed
// has more than twice as much in the second half.
constexpr std::size_t chance_entries = 8;
constexpr double chance_factor = 1.5;

using Hours = std::vector<std::size_t>::iterator;
// What half of the hours do not exceed: one of them may have had a crash, and a crowd after it.
std::size_t median(Hours from, Hours to) {
  if (from == to) return 0;
  const Hours middle = from + (to - from) / 2;
  std::nth_element(from, middle, to);
  return *middle;
}

} // namespace

void Soak::sample(const Sizes& sizes, Duration age) {
  const auto hour = static_cast<std::size_t>(age / std::chrono::hours{1});
  hours_ = std::max(hours_, hour + 1);
  for (const auto& [name, entries] : sizes) {
    auto& most = most_[name];
    most.resize(std::max(most.size(), hour + 1));
    most[hour] = std::max(most[hour], entries);
  }
}

std::vector<std::string> Soak::growing() const {
  std::vector<std::string> growing;
  for (auto [name, most] : most_) {
    most.resize(hours_);
    const Hours half = most.begin() + (most.end() - most.begin()) / 2;
    const std::size_t first = median(most.begin(), half), second = median(half, most.end());
    if (static_cast<double>(second) >
        chance_factor * static_cast<double>(first) + static_cast<double>(chance_entries))
      growing.push_back(fmt::format("{}: {} in an hour of the first half, {} in one of the second",
                                    name, first, second));
  }
  return growing;
}

std::string Soak::table() const {
  std::string text = fmt::format("{:<34}", "largest in each hour");
  for (std::size_t hour = 0; hour < hours_; ++hour) text += fmt::format("{:>6}", hour);
  text += "\n";
  for (const auto& [name, most] : most_) {
    text += fmt::format("{:<34}", name);
    for (const std::size_t entries : most) text += fmt::format("{:>6}", entries);
    text += "\n";
  }
  return text;
}

// 100 jobs a day, as a small team might send them, and the faults of a bad week in one day. In half
// of the histories processes live long, and show what grows in memory; in the others they are
// restarted, and show what grows on the disk.
Swarm Swarm::soak(std::uint32_t hours, Random& random) {
  Swarm swarm;
  const auto jobs = static_cast<std::uint32_t>(std::chrono::hours{hours} / job_every);
  for (std::uint32_t n = 0; n < jobs; ++n) {
    JobPlan job;
    job.items = 20 + static_cast<std::uint32_t>(random.below(60));
    job.text_bytes_max = 200;
    job.submit_at = n * job_every + random.between(0s, 300s);
    job.forgets = true;
    job.forgets_after = random.between(0s, 3600s);
    job.bad = random.chance(0.3) ? 0.1 : 0;
    job.retries_failed = random.chance(0.3);
    job.hedge_percent = random.chance(0.3) ? 10 : 0;
    if (random.chance(0.2)) job.pause_at = job.submit_at + random.between(1s, 30s);
    if (random.chance(0.1)) job.cancel_at = job.submit_at + random.between(1s, 60s);
    job.resume_after = random.between(1s, 600s);
    if (random.chance(0.3)) job.limits.requests_per_minute = 20 + random.below(40);
    if (random.chance(0.3)) job.budget = Usd::from_nano(1'000 * (300 + 100ull * job.items));
    job.weight = 1 + static_cast<std::uint32_t>(random.below(5));
    job.priority = 40 + static_cast<std::uint32_t>(random.below(20));
    swarm.jobs.push_back(std::move(job));
  }
  swarm.serving = random.chance(0.5) ? Serving::own : Serving::pools;
  swarm.own_urls = true;
  swarm.endpoints = {{60, 0, 0}, {0, 0, 8}};
  swarm.endpoints[0].requests_per_day = 5'000;
  swarm.fallback = true;
  swarm.pages = swarm.serving == Serving::pools;
  swarm.workers = 4;
  swarm.concurrency = 8;
  swarm.capacity_bytes = 1u << 20;
  swarm.coordinator_ppb = 100'000;
  swarm.worker_ppb = -100'000;
  swarm.network_mean = 5ms;
  swarm.commit_mean = 8ms;
  swarm.call_mean = 2s;
  swarm.channel_max = 2ms;
  swarm.poll = 60s;
  swarm.faulty_phase = std::chrono::hours{hours};
  swarm.drop = 1e-5;
  swarm.slow_commit = swarm.disk_full = 1e-4;
  swarm.server_error = swarm.rate_refusal = swarm.reset = 0.01;
  swarm.hang = 0.002;
  // Per 100 ms, and so about once in so many hours.
  const auto once_in = [](double hours_between) { return 1 / (36'000 * hours_between); };
  const bool long_lives = random.chance(0.5);
  swarm.cut = once_in(1);
  swarm.worker_crash = swarm.worker_drain = once_in(long_lives ? 100 : 1);
  swarm.silent_crash = 0.3;
  swarm.partition = swarm.pause = once_in(2);
  swarm.coordinator_crash = long_lives ? 0 : once_in(1.5);
  swarm.reboot = 0.2;
  swarm.wall_step = once_in(6);
  swarm.stall = 1e-4;
  swarm.room_crash = 1e-5;
  return swarm;
}

void World::watch_sizes() {
  if (healed_) return;
  Sizes sizes;
  if (coordinator_)
    for (const auto& address : wiring::CoordinatorNode::shared_rooms())
      (*coordinator_->rooms.find(address))->room->measure(sizes);
  for (const auto& worker : workers_)
    if (worker->alive) worker->worker->measure(sizes);
  store_.measure(sizes);
  verdict_.soak.sample(sizes, now_ - begin_);
  after(sample_every, [this] { watch_sizes(); });
}

Verdict World::run_soak() {
  at(begin_, [this] { watch_sizes(); });
  return run();
}

} // namespace gristmill::sim
