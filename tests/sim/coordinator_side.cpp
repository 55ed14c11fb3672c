// The coordinator's process in the simulator: its rooms, the channels between them, its clocks.
#include "tests/sim/world_parts.hpp"

#include "actors/kit/defaults.hpp"

#include <array>

namespace gristmill::sim {

using wiring::Address;
using wiring::Envelope;
using wiring::Message;

namespace {

constexpr std::array message_names{
    "Start",          "FramesIn",       "PeersGone",   "Offer",
    "Granted",        "SessionDurable", "JobDurable",  "JobForgotten",
    "RecordedNow",    "JobReport",      "JobRead",     "MergeReport",
    "DiskFull",       "RoomCrashed",    "Ask",         "Answer",
    "ItemsExplained", "ExplainItems",   "OpenJob",     "JobNews",
    "PauseItems",     "ResumeItems",    "CancelItems", "LinesDurable",
    "CloseRoom",      "LimiterNews",    "ShowPools",   "BlocksDurable",
    "AppendNow",      "StoreDurable",   "StoreFailed", "Group",
    "MergeTask",      "SendFrames",     "ReadJob",     "Tick"};
static_assert(message_names.size() == std::variant_size_v<Message>);

constexpr Address the_coordinator{wiring::Place::coordinator, {}};

} // namespace

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
  coordinator_ = std::make_unique<Coordinator>();
  coordinator_->node =
      std::make_unique<wiring::CoordinatorNode>(node_options(), std::move(recovered));
  for (const Address& address : wiring::CoordinatorNode::shared_rooms())
    coordinator_->rooms[address] = coordinator_->node->make_room(address, moment());
  handle(the_coordinator, wiring::Start{});
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

void World::tell_coordinator(Message message) {
  auto shared = std::make_shared<Message>(std::move(message));
  to_coordinator([this, shared, life = life_] {
    if (coordinator_ && life == life_) handle(the_coordinator, std::move(*shared));
  });
}

// Messages between rooms take no time that anybody may count on: each pair of rooms has a channel
// that keeps its order, and the channels race.
void World::deliver(const Address& from, Envelope envelope) {
  Time& last = coordinator_->channels[{from, envelope.to}];
  last = std::max(last, now_ + upto(swarm_.channel_max));
  auto shared = std::make_shared<Envelope>(std::move(envelope));
  at(last, [this, shared, life = life_] {
    to_coordinator([this, shared, life] {
      if (coordinator_ && life == life_) handle(shared->to, std::move(shared->message));
    });
  });
}

void World::handle(const Address& address, Message message) {
  auto room = coordinator_->rooms.find(address);
  if (room == coordinator_->rooms.end()) {
    const bool opens = std::holds_alternative<wiring::OpenJob>(message) ||
                       std::holds_alternative<merger::MergeTask>(message);
    if (!opens) return;
    room = coordinator_->rooms.emplace(address, coordinator_->node->make_room(address, moment()))
               .first;
  }
  if (trace_.verbose()) {
    trace("{} <- {}", name_of(address), message_names[message.index()]);
  } else {
    trace("{} {} {}", address.job.value, static_cast<unsigned>(address.place), message.index());
  }
  wiring::Post post;
  room->second->handle(std::move(message), moment(), post);
  carry_out(address, std::move(post));
}

void World::carry_out(const Address& from, wiring::Post post) {
  for (const gristmill::Event& event : post.events) hear(event);
  if (post.closed) coordinator_->rooms.erase(from);
  set_alarm(from, post.closed ? never : post.wake_at);
  for (Envelope& envelope : post.envelopes) {
    switch (envelope.to.place) {
    case wiring::Place::gateway:
      for (const auto& frame : std::get<wiring::SendFrames>(envelope.message).frames)
        send_to_worker(frame);
      break;
    case wiring::Place::store:
      if (const auto* read = std::get_if<wiring::ReadJob>(&envelope.message)) {
        read_job(read->job);
      } else {
        write(std::move(std::get<journal::Group>(envelope.message)));
      }
      break;
    case wiring::Place::client: answered(std::get<wiring::Answer>(envelope.message)); break;
    default: deliver(from, std::move(envelope));
    }
  }
  if (!post.fatal) return;
  if (swarm_.disk_broken == 0) violation("fatal: " + post.fatal->message);
  after(Duration::zero(), [this, life = life_] {
    if (coordinator_ && life == life_) crash_coordinator();
  });
}

// A room wants to be woken then, and at no other time that it said before.
void World::set_alarm(const Address& room, Time local) {
  Alarm& alarm = coordinator_->alarms[room];
  alarm.wanted = local == never ? never : std::max(clock_.truth_of(local), now_);
  if (alarm.wanted < alarm.set) ring_at(room, alarm.wanted);
}

void World::ring_at(const Address& room, Time when) {
  coordinator_->alarms[room].set = when;
  at(when, [this, room, when, life = life_] {
    to_coordinator([this, room, when, life] {
      if (!coordinator_ || life != life_) return;
      Alarm& alarm = coordinator_->alarms[room];
      if (alarm.set != when) return; // an earlier one has taken its place
      alarm.set = never;
      if (alarm.wanted > now_) {
        if (alarm.wanted != never) ring_at(room, alarm.wanted);
      } else if (coordinator_->rooms.contains(room)) {
        alarm.wanted = never;
        handle(room, wiring::Tick{});
      }
    });
  });
}

void World::hear(const gristmill::Event& event) {
  std::string line{event.name};
  std::size_t worker = 0;
  for (const auto& [name, value] : event.fields) {
    line += fmt::format(" {}={}", name, value);
    if (name == "name") worker = std::stoul(value.substr(1)); // "w3"
  }
  trace("{}", line);
  if (event.name == "worker.hello") {
    heard_.insert(workers_[worker]->process);
    ledger_.back(workers_[worker]->process);
  }
  if (event.name == "worker.lost") ledger_.session_lost(worker);
  if (event.name == "worker.overdue") ledger_.calls_given_up(worker);
  const bool doubted = event.name == "worker.forged" || event.name == "usage.above_bound";
  if (doubted && swarm_.lie == 0) violation("an honest worker is not believed: " + line);
  if (event.name == "frame.bad" || event.name == "frame.violation") violation(line);
}

} // namespace gristmill::sim
