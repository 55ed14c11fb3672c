// The stage of the coordinator's rooms in the simulator: their mailboxes, their turns, their
// alarms. Which room a message reaches and what becomes of its answer is production's own code.
#include "tests/sim/world_parts.hpp"

#include <array>
#include <stdexcept>

namespace gristmill::sim {

using wiring::Address;
using wiring::Envelope;
using wiring::Message;

namespace {

constexpr auto stall_max = std::chrono::seconds{1};
constexpr std::string_view bad_luck = "a room of a job throws";

constexpr std::array message_names{"Start",
                                   "FramesIn",
                                   "PeersGone",
                                   "Offer",
                                   "Granted",
                                   "PacksTold",
                                   "SessionDurable",
                                   "JobDurable",
                                   "JobForgotten",
                                   "RecordedNow",
                                   "CheckShared",
                                   "SharedChecked",
                                   "JobReport",
                                   "JobRead",
                                   "MergeReport",
                                   "DiskFull",
                                   "RoomClosed",
                                   "RoomCrashed",
                                   "Ask",
                                   "Answer",
                                   "ItemsExplained",
                                   "ExplainItems",
                                   "OpenJob",
                                   "JobNews",
                                   "PauseItems",
                                   "ResumeItems",
                                   "CancelItems",
                                   "InputGrew",
                                   "InputsAppended",
                                   "InputsDurable",
                                   "LinesDurable",
                                   "JoinItems",
                                   "ItemsJoined",
                                   "LookUpAnswers",
                                   "LookedUpAnswers",
                                   "AnswersDurable",
                                   "FindAnswers",
                                   "KeepAnswers",
                                   "CloseRoom",
                                   "LimiterNews",
                                   "ShowPools",
                                   "BlocksDurable",
                                   "AppendNow",
                                   "StoreDurable",
                                   "StoreFailed",
                                   "Group",
                                   "MergeTask",
                                   "SendFrames",
                                   "ReadJob",
                                   "Tick"};
static_assert(message_names.size() == std::variant_size_v<Message>);

// A job's room that throws when its luck runs out.
class UnluckyRoom final : public wiring::Room {
public:
  UnluckyRoom(std::unique_ptr<wiring::Room> room, std::function<bool()> unlucky)
      : room_{std::move(room)}, unlucky_{std::move(unlucky)} {}
  void handle(Message message, const wiring::Moment& moment, wiring::Post& post) override {
    room_->handle(std::move(message), moment, post);
    if (unlucky_()) throw std::runtime_error{std::string{bad_luck}};
  }

private:
  std::unique_ptr<wiring::Room> room_;
  std::function<bool()> unlucky_;
};

} // namespace

Duration World::stalled_most() const {
  return swarm_.stall > 0 ? stall_max : Duration::zero();
}

std::shared_ptr<World::Player> World::make_player(const Address& address) {
  auto player = std::make_shared<Player>();
  player->address = address;
  player->room = coordinator_->node->make_room(address, moment());
  if (address.job && swarm_.room_crash > 0)
    player->room = std::make_unique<UnluckyRoom>(std::move(player->room),
                                                 [this] { return luck(swarm_.room_crash); });
  return player;
}

// The way of CoordinatorHost::deliver_to_room.
void World::post(Envelope envelope) {
  if (!coordinator_) return;
  auto player = coordinator_->rooms.find(envelope.to);
  if (!player) {
    if (!wiring::opens_room(envelope.message)) return;
    player = make_player(envelope.to);
    coordinator_->rooms.open(envelope.to, *player);
  }
  // A room that is about to end is the one that somebody may not wait for.
  const bool last = swarm_.stall > 0 && std::holds_alternative<wiring::CloseRoom>(envelope.message);
  (*player)->mailbox.push_back({std::make_shared<Message>(std::move(envelope.message)), 0});
  schedule(*player, last ? 0.3 : swarm_.stall);
}

// When a room gets a thread nobody can say.
void World::schedule(const std::shared_ptr<Player>& player, double stall) {
  if (std::exchange(player->scheduled, true)) return;
  after(luck(stall) ? upto(stall_max) : upto(swarm_.channel_max), [this, player, life = life_] {
    to_coordinator([this, player, life] {
      if (coordinator_ && life == life_) play(player);
    });
  });
}

// All that stands in its mailbox, or the thread is taken from it before.
void World::play(const std::shared_ptr<Player>& player) {
  std::size_t turns = player->mailbox.size();
  if (turns > 1 && random_.chance(0.1)) turns = 1;
  for (const auto life = life_; turns > 0; --turns) {
    const Player::Mail mail = std::move(player->mailbox.front());
    player->mailbox.pop_front();
    if (!mail.body && mail.alarm != player->alarms) continue;
    handle(player, mail.body ? std::move(*mail.body) : Message{wiring::Tick{}});
    if (!coordinator_ || life != life_ || player->ended) return;
  }
  player->scheduled = false;
  if (!player->mailbox.empty()) schedule(player, swarm_.stall);
}

void World::handle(const std::shared_ptr<Player>& player, Message message) {
  const Address& address = player->address;
  if (trace_.verbose()) {
    trace("{} <- {}", name_of(address), message_names[message.index()]);
  } else {
    trace("{} {} {}", address.job.value, static_cast<unsigned>(address.recipient), message.index());
  }
  wiring::Post post = wiring::play(*player->room, address, std::move(message), moment());
  player->ended = post.closed;
  const Time wake_at = post.closed ? never : post.wake_at;
  const auto life = life_;
  wiring::carry_out(address, std::move(post), *this);
  if (coordinator_ && life == life_) set_alarm(player, wake_at);
}

// A room wants to be woken then, and at no other time that it said before.
void World::set_alarm(const std::shared_ptr<Player>& player, Time local) {
  Alarm& alarm = player->alarm;
  ++player->alarms;
  alarm.wanted = local == never ? never : std::max(clock_.truth_of(local), now_);
  if (alarm.wanted <= now_)
    wake(player);
  else if (alarm.wanted < alarm.set)
    ring_at(player, alarm.wanted);
}

// An alarm stands in the mailbox behind what came before it, and may be out of date by its turn.
void World::wake(const std::shared_ptr<Player>& player) {
  player->alarm.wanted = never;
  player->mailbox.push_back({nullptr, player->alarms});
  schedule(player, swarm_.stall);
}

void World::ring_at(const std::shared_ptr<Player>& player, Time when) {
  player->alarm.set = when;
  at(when, [this, player, when, life = life_] {
    to_coordinator([this, player, when, life] {
      if (!coordinator_ || life != life_ || player->ended) return;
      Alarm& alarm = player->alarm;
      if (alarm.set != when) return; // an earlier one has taken its place
      alarm.set = never;
      if (alarm.wanted <= now_)
        wake(player);
      else if (alarm.wanted != never)
        ring_at(player, alarm.wanted);
    });
  });
}

void World::forget(const Address& room) {
  if (coordinator_) coordinator_->rooms.forget(room);
}

void World::fatal(Error error) {
  if (swarm_.disk_broken == 0) violation("fatal: " + error.message);
  if (coordinator_) crash_coordinator();
}

void World::log(const Address& room, const gristmill::Event& event) {
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
  if (event.name == "worker.unproven") ledger_.not_believed(workers_[worker]->process);
  if (event.name == "worker.lost") ledger_.session_lost(worker);
  if (event.name == "worker.overdue") ledger_.calls_given_up(worker);
  const bool doubted = event.name == "worker.forged" || event.name == "usage.above_bound";
  if (doubted && swarm_.lie == 0) violation("an honest worker is not believed: " + line);
  if (event.name == "frame.bad" || event.name == "frame.violation") violation(line);
  if (event.name != "room.crashed") return;
  if (event.fields.front().second != bad_luck) violation(name_of(room) + ": " + line);
  ++verdict_.room_crashes;
  exact_ = false;
  ledger_.room_crashed(room.job);
}

} // namespace gristmill::sim
