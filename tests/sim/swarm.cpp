#include "tests/sim/swarm.hpp"

#include <fmt/format.h>

namespace gristmill::sim {

Swarm Swarm::draw(Random& random) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  const bool quiet = random.chance(0.3); // only the edges of permits and commits are left to fail
  const auto fault = [&](double most) {
    return quiet || random.chance(0.3) ? 0 : random.unit() * most;
  };
  Swarm swarm;
  swarm.items = 1 + static_cast<std::uint32_t>(random.below(120));
  swarm.workers = 1 + static_cast<std::uint32_t>(random.below(5));
  swarm.concurrency = 1 + static_cast<std::uint32_t>(random.below(16));
  // Tight enough that the job takes some minutes: only then can a window be exceeded.
  if (random.chance(0.5))
    swarm.requests_per_minute = 2 + swarm.items / 4 + random.below(swarm.items);
  swarm.network_mean = random.between(milliseconds{1}, milliseconds{120});
  swarm.commit_mean = random.between(milliseconds{1}, milliseconds{30});
  swarm.call_mean = random.between(milliseconds{5}, milliseconds{2'000});
  swarm.cut = fault(0.03);
  swarm.drop = fault(0.02);
  swarm.worker_crash = fault(0.03);
  swarm.coordinator_crash = fault(0.02);
  swarm.pause = fault(0.03);
  swarm.server_error = fault(0.2);
  swarm.rate_refusal = fault(0.1);
  swarm.reset = fault(0.1);
  swarm.hang = fault(0.02);
  if (random.chance(0.1)) swarm.poll = random.between(milliseconds{50}, milliseconds{450});
  if (random.chance(0.1)) swarm.send_delay = random.between(milliseconds{150}, milliseconds{1'500});
  swarm.faulty_phase = swarm.requests_per_minute != 0 ? seconds{120} : seconds{30};
  return swarm;
}

std::string Swarm::text() const {
  return fmt::format("items={} workers={} concurrency={} rpm={} net={}ms commit={}ms call={}ms "
                     "cut={:.3f} drop={:.3f} wcrash={:.3f} ccrash={:.3f} pause={:.3f} err={:.2f} "
                     "rate={:.2f} reset={:.2f} hang={:.2f}",
                     items, workers, concurrency, requests_per_minute, to_ms(network_mean),
                     to_ms(commit_mean), to_ms(call_mean), cut, drop, worker_crash,
                     coordinator_crash, pause, server_error, rate_refusal, reset, hang);
}

} // namespace gristmill::sim
