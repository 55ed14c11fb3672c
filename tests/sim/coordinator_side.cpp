// The coordinator's process in the simulator: its lives and its clocks.
#include "tests/sim/world_parts.hpp"

#include "actors/kit/defaults.hpp"

namespace gristmill::sim {

wiring::Moment World::moment() const {
  return {clock_.at(now_), (now_ + wall_off_).time_since_epoch().count() / 1'000'000'000};
}

void World::start_coordinator() {
  ++life_;
  heard_.clear();
  coordinator_paused_until_ = {};
  unheard_.clear();
  if (boot_ == 0 || luck(swarm_.reboot)) {
    ++boot_;
    const auto up = random_.between(std::chrono::seconds{5}, std::chrono::seconds{100'000});
    clock_ = LocalClock{now_, Time{up}, swarm_.coordinator_ppb};
  }
  journal::Recovered recovered = store_.recover(clock_.at(now_), boot_);
  ledger_.recovered(recovered);
  epoch_ = recovered.epoch;
  trace("coordinator starts, epoch {}, boot {}", recovered.epoch.value, boot_);
  coordinator_ = std::make_unique<Coordinator>(swarm_.read_max);
  coordinator_->node =
      std::make_unique<wiring::CoordinatorNode>(node_options(), std::move(recovered));
  for (const wiring::Address& address : wiring::CoordinatorNode::shared_rooms())
    coordinator_->rooms.open(address, make_player(address));
  post({{wiring::Recipient::coordinator, {}}, wiring::Start{}});
  const Time grace = clock_.truth_of(clock_.at(now_) + defaults::restart_grace);
  at(grace, [this, life = life_] {
    if (life == life_) ledger_.grace_over(heard_);
  });
  if (swarm_.poll != Duration::zero()) poll(life_);
}

// What is in memory is gone. What was handed to the disk may have reached it or not.
void World::stop_coordinator() {
  if (store_.busy() && random_.chance(0.5)) make_durable();
  store_.crash();
  coordinator_.reset();
  arrived_.clear();
  asked_.clear();
  ledger_.coordinator_crashed();
  for (User& user : users_) user.asked = User::Asked::nothing;
}

void World::crash_coordinator() {
  exact_ = false;
  ++verdict_.coordinator_crashes;
  trace("coordinator crashes");
  stop_coordinator();
  if (swarm_.one_process) {
    // Its workers are threads of the same process.
    for (std::size_t i = 0; i < workers_.size(); ++i) end_worker(i, false);
  }
  for (const auto& [peer, connection] : connections_) {
    if (!connection->open) continue;
    after(around(std::chrono::milliseconds{20}),
          [this, index = connection->worker, process = connection->process] {
            if (workers_[index]->process == process) cut(index);
          });
  }
  const auto down = random_.between(std::chrono::milliseconds{10}, std::chrono::seconds{3});
  after(down, [this] {
    start_coordinator();
    if (!swarm_.one_process) return;
    for (std::size_t i = 0; i < workers_.size(); ++i) start_worker(i);
  });
}

// A stopped process hears all of it later, in the same order.
void World::to_coordinator(std::function<void()> what) {
  if (now_ >= coordinator_paused_until_ && unheard_.empty()) return what();
  unheard_.push_back(std::move(what));
  if (unheard_.size() == 1) wake_coordinator();
}

void World::wake_coordinator() {
  at(std::max(now_, coordinator_paused_until_), [this, life = life_] {
    if (life != life_) return;
    while (now_ >= coordinator_paused_until_ && !unheard_.empty()) {
      const auto what = std::move(unheard_.front());
      what();
      unheard_.pop_front();
    }
    if (!unheard_.empty()) wake_coordinator();
  });
}

// From the threads of windows: the gateway's, and those of clients.
void World::tell_coordinator(wiring::Message message) {
  auto shared = std::make_shared<wiring::Message>(std::move(message));
  to_coordinator([this, shared, life = life_] {
    if (life == life_) post({{wiring::Recipient::coordinator, {}}, std::move(*shared)});
  });
}

} // namespace gristmill::sim
