// What goes wrong with machines: rolled every 100 ms for each of them, as the swarm drew it.
#include "tests/sim/world_parts.hpp"

#include <algorithm>

namespace gristmill::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto fault_step = milliseconds{100};

} // namespace

void World::roll_faults() {
  if (healed_) return;
  for (std::size_t i = 0; i < workers_.size(); ++i) roll_worker(i);
  if (luck(swarm_.swizzle)) swizzle();
  if (luck(swarm_.wall_step)) {
    wall_off_ += random_.between(seconds{-20}, seconds{20});
    trace("the wall clock is {} ms off", to_ms(wall_off_));
  }
  if (coordinator_ && luck(swarm_.coordinator_pause)) {
    exact_ = false;
    coordinator_paused_until_ = now_ + random_.between(milliseconds{100}, seconds{8});
    trace("coordinator stops for {} ms", to_ms(coordinator_paused_until_ - now_));
  }
  if (coordinator_ && luck(swarm_.coordinator_crash)) crash_coordinator();
  after(fault_step, [this] { roll_faults(); });
}

void World::roll_worker(std::size_t index) {
  if (luck(swarm_.cut)) cut(index);
  if (luck(swarm_.partition)) partition(index, random_.between(milliseconds{100}, seconds{12}));
  WorkerProcess& worker = *workers_[index];
  if (!worker.alive) return;
  if (luck(swarm_.pause)) {
    exact_ = false;
    const Duration pause = random_.between(milliseconds{100}, seconds{8});
    worker.paused_until = std::max(worker.paused_until, now_ + pause);
    trace("w{} stops for {} ms", index, to_ms(pause));
  }
  const bool others_call = std::any_of(workers_.begin() + 1, workers_.end(),
                                       [](const auto& other) { return other->alive; });
  if (index == 0 && others_call && !worker.hangs && luck(swarm_.thread_hangs)) {
    exact_ = false;
    worker.hangs = true;
    trace("w{} makes no call any more, {} in flight", index, worker.worker->in_flight());
  }
  if (luck(swarm_.worker_drain)) drain_worker(index);
  if (!worker.alive || !luck(swarm_.worker_crash)) return;
  exact_ = false;
  ++verdict_.worker_crashes;
  const bool silently = luck(swarm_.silent_crash);
  trace("w{} dies{}, {} in flight, {} not recorded", index, silently ? " silently" : "",
        worker.worker->in_flight(), worker.worker->unrecorded());
  end_worker(index, silently);
  const auto others = std::count_if(workers_.begin(), workers_.end(), [](const auto& other) {
    return other->alive && !other->hangs;
  });
  if (others > 0 && luck(swarm_.for_good)) {
    trace("w{} stays dead", index);
    return;
  }
  after(random_.between(milliseconds{10}, seconds{3}), [this, index, process = worker.process] {
    if (workers_[index]->process == process) start_worker(index);
  });
}

// Links are stopped one by one and come back in another order.
void World::swizzle() {
  Time at_most = now_;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    const Duration wait = upto(seconds{2});
    after(wait, [this, i, length = random_.between(milliseconds{500}, seconds{9})] {
      if (!healed_) partition(i, length);
    });
    at_most = std::max(at_most, now_ + wait);
  }
}

void World::heal() {
  if (healed_) return;
  healed_ = true;
  healed_at_ = now_;
  trace("healed");
  disk_full_until_ = std::min(disk_full_until_, now_);
}

} // namespace gristmill::sim
