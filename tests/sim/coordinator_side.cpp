// The coordinator's process in the simulator: its rooms, the channels between them, its disk.
#include "tests/sim/world.hpp"
#include "tests/sim/world_parts.hpp"
#include "tests/unit/memory_pages.hpp"

#include "actors/kit/check.hpp"

#include <cstring>
#include <fmt/format.h>

namespace gristmill::sim {

using wiring::Address;
using wiring::Envelope;
using wiring::Message;

namespace {

class MemorySource final : public intake::ByteSource {
public:
  explicit MemorySource(const std::string& text) : text_{text} {}
  Result<std::size_t> read(std::uint32_t, std::uint64_t offset, std::span<char> into) override {
    if (offset >= text_.size()) return std::size_t{0};
    const std::size_t n = std::min(into.size(), text_.size() - static_cast<std::size_t>(offset));
    std::memcpy(into.data(), text_.data() + offset, n);
    return n;
  }
  std::uint32_t input_count() const override { return 1; }
  Result<std::string> name_of(std::uint32_t) override { return std::string{"in.jsonl"}; }
  std::unique_ptr<intake::ScratchPages> scratch() override {
    return std::make_unique<MemoryPages>();
  }

private:
  const std::string& text_;
};

class MemoryMerge final : public merger::MergeFiles {
public:
  MemoryMerge(const std::vector<MemoryStore::Line>& lines, std::string& result) : result_{result} {
    for (const auto& line : lines) segment_ += line.text + "\n";
  }
  std::size_t segment_count() const override { return 1; }
  std::uint64_t segment_bytes(std::size_t) const override { return segment_.size(); }
  Result<> read(std::size_t, std::uint64_t offset, std::span<char> into) override {
    std::memcpy(into.data(), segment_.data() + offset, into.size());
    return {};
  }
  Result<> put_place(std::uint64_t item, merger::LinePlace place) override {
    places_[item] = place;
    return {};
  }
  Result<merger::LinePlace> place_of(std::uint64_t item) override { return places_[item]; }
  Result<> write(std::string_view bytes) override {
    part_ += bytes;
    return {};
  }
  Result<> write_ids(std::string_view) override { return {}; }
  Result<merger::FinalFile> finish() override {
    result_ = part_;
    return merger::FinalFile{"out.jsonl", "", part_.size(), 0, ""};
  }
  Result<> write_summary(std::string_view) override { return {}; }

private:
  std::string segment_, part_;
  std::string& result_;
  std::map<std::uint64_t, merger::LinePlace> places_;
};

} // namespace

void World::start_coordinator() {
  ++life_;
  wiring::NodeOptions options;
  options.random_seed = random_.next();
  options.open_source = [this](const JobSpec&) -> Result<std::unique_ptr<intake::ByteSource>> {
    return std::make_unique<MemorySource>(input_);
  };
  options.open_merge = [this](JobId job,
                              const JobSpec&) -> Result<std::unique_ptr<merger::MergeFiles>> {
    return std::make_unique<MemoryMerge>(store_.lines().at(job), result_);
  };
  coordinator_ = std::make_unique<Coordinator>();
  coordinator_->node =
      std::make_unique<wiring::CoordinatorNode>(std::move(options), store_.recover());
  trace(fmt::format("coordinator starts, epoch {}", life_));
  for (const Address& address : wiring::CoordinatorNode::shared_rooms())
    coordinator_->rooms[address] = coordinator_->node->make_room(address, moment());
  handle({wiring::Place::coordinator, {}}, wiring::Start{});
  if (store_.jobs().empty()) submit();
  if (swarm_.poll != Duration::zero()) poll(life_);
}

// A client that asks all the time must not keep the coordinator from anything.
void World::poll(std::uint64_t life) {
  if (!coordinator_ || life != life_) return;
  handle({wiring::Place::coordinator, {}}, wiring::Ask{2, wiring::ListJobs{}});
  after(swarm_.poll, [this, life] { poll(life); });
}

void World::submit() {
  handle({wiring::Place::coordinator, {}}, wiring::Ask{1, wiring::SubmitJob{spec_}});
}

void World::crash_coordinator() {
  ++verdict_.coordinator_crashes;
  trace("coordinator crashes");
  // What was handed to the disk may have reached it or not.
  if (store_.busy() && random_.chance(0.5)) store_.make_durable();
  store_.crash();
  coordinator_.reset();
  for (const auto& worker : workers_)
    if (worker->alive)
      wasted_allowed_ += worker->worker->in_flight() + worker->worker->unrecorded();
  for (auto& [peer, connection] : connections_) {
    if (!connection->open) continue;
    const std::size_t index = connection->worker;
    after(around(std::chrono::milliseconds{20}), [this, index, process = connection->process] {
      if (workers_[index]->process == process) cut(index);
    });
  }
  const auto down = random_.between(std::chrono::milliseconds{10}, std::chrono::seconds{3});
  after(down, [this] { start_coordinator(); });
}

// Messages between rooms take no time that anybody may count on: each pair of rooms has a channel
// that keeps its order, and the channels race.
void World::deliver(const Address& from, Envelope envelope) {
  Time& last = coordinator_->channels[{from, envelope.to}];
  last = std::max(last, now_ + random_.between(Duration::zero(), std::chrono::milliseconds{2}));
  auto shared = std::make_shared<Envelope>(std::move(envelope));
  at(last, [this, shared, life = life_] {
    if (coordinator_ && life == life_) handle(shared->to, std::move(shared->message));
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
  trace(fmt::format("{} <- {}", name_of(address), message.index()));
  wiring::Post post;
  room->second->handle(std::move(message), moment(), post);
  carry_out(address, std::move(post));
}

void World::carry_out(const Address& from, wiring::Post post) {
  for (const gristmill::Event& event : post.events) {
    std::string line{event.name};
    for (const auto& [name, value] : event.fields) {
      line += fmt::format(" {}={}", name, value);
      if (event.name == "worker.lost" && name == "in_flight") wasted_allowed_ += std::stoull(value);
    }
    trace(line);
  }
  if (post.fatal) violation("fatal: " + post.fatal->message);
  const std::uint64_t alarm = ++coordinator_->alarms[from];
  if (post.closed) coordinator_->rooms.erase(from);
  for (Envelope& envelope : post.envelopes) {
    switch (envelope.to.place) {
    case wiring::Place::gateway:
      for (const auto& frame : std::get<wiring::SendFrames>(envelope.message).frames)
        send_to_worker(frame);
      break;
    case wiring::Place::store: write(std::move(std::get<journal::Group>(envelope.message))); break;
    case wiring::Place::client:
      if (const auto& error = std::get<wiring::Answer>(envelope.message).error)
        violation("the job was refused: " + error->message);
      break;
    default: deliver(from, std::move(envelope));
    }
  }
  if (post.wake_at == never || post.closed) return;
  at(std::max(post.wake_at, now_), [this, from, alarm, life = life_] {
    if (coordinator_ && life == life_ && coordinator_->alarms[from] == alarm &&
        coordinator_->rooms.contains(from))
      handle(from, wiring::Tick{});
  });
}

void World::write(journal::Group group) {
  GRISTMILL_CHECK(!store_.busy(), "a group was handed over while another was being written");
  store_.hand_over(std::move(group));
  after(around(swarm_.commit_mean), [this, life = life_] {
    if (!coordinator_ || life != life_) return;
    const journal::Position upto = store_.make_durable();
    handle({wiring::Place::journal, {}}, wiring::StoreDurable{upto});
  });
}

void World::send_to_worker(const coordinator::OutgoingFrame& frame) {
  const auto it = connections_.find(frame.peer);
  const auto connection = it == connections_.end() ? nullptr : it->second;
  if (!connection || !connection->open || connection->life != life_) {
    after(std::chrono::milliseconds{1}, [this, peer = frame.peer, life = life_] {
      if (coordinator_ && life == life_)
        handle({wiring::Place::coordinator, {}}, wiring::PeersGone{{peer}});
    });
    return;
  }
  if (!healed_ && random_.chance(swarm_.drop)) return;
  connection->last_down = std::max(connection->last_down, now_ + around(swarm_.network_mean));
  at(connection->last_down, [this, connection, bytes = frame.bytes] {
    if (!connection->open) return;
    to_worker(connection->worker, [this, connection, bytes](WorkerProcess& worker) {
      if (!connection->open || worker.connection != connection) return;
      watch_recorded(connection->worker, bytes);
      carry_out(connection->worker, worker.worker->received(bytes, now_));
    });
  });
}

} // namespace gristmill::sim
