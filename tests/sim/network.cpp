// The network of the simulator. A connection keeps the order of its frames; it may be slow, lose or
// repeat a frame, stand still in one direction or both, and be cut. What had left before a cut may
// still arrive, after the next connection's frames too: a kernel goes on sending what it has taken.
#include "tests/sim/world_parts.hpp"

#include "protocol/node/codec.hpp"

#include <algorithm>

namespace gristmill::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto silence_max = seconds{6}; // of ZeroMQ's own heartbeat

// What a frame says, in a few words.
std::string words_of(const protocol::Message& message) {
  std::string text{protocol::name_of(message)};
  const auto list = [&text](const auto& ids) {
    for (const auto& id : ids) text += fmt::format(" {:x}", id.value);
  };
  std::visit(
      [&](const auto& m) {
        using M = std::decay_t<decltype(m)>;
        if constexpr (std::is_same_v<M, protocol::Hello>) {
          for (const auto& claim : m.in_flight) text += " flying " + to_string(claim.attempt);
          for (const auto& claim : m.outbox) text += " kept " + to_string(claim.attempt);
          text += " held";
          list(m.held);
        } else if constexpr (std::is_same_v<M, protocol::Heartbeat>) {
          text += fmt::format(" flying {} held {}", m.in_flight, m.held);
          for (const auto& q : m.queues)
            text += fmt::format(" queue {} of {}", q.waiting, q.running);
        } else if constexpr (std::is_same_v<M, protocol::Need>) {
          list(m.calls);
        } else if constexpr (std::is_same_v<M, protocol::Batch>) {
          for (const auto& call : m.calls) text += fmt::format(" {:x}", call.call.value);
        } else if constexpr (std::is_same_v<M, protocol::Permits>) {
          for (const auto& permit : m.permits)
            text += fmt::format(" {:x}={}", permit.call.value, to_string(permit.attempt));
        } else if constexpr (std::is_same_v<M, protocol::Outcomes>) {
          for (const auto& o : m.outcomes)
            text += fmt::format(" {}:{}", to_string(o.attempt), info(o.cls).name);
        } else if constexpr (std::is_same_v<M, protocol::Returned>) {
          for (const auto& entry : m.calls)
            text += fmt::format(" {:x}={}", entry.call.value, to_string(entry.attempt));
          text += m.keeps_calls ? " keeps" : "";
        } else if constexpr (std::is_same_v<M, protocol::Recorded>) {
          for (const AttemptId attempt : m.attempts) text += " " + to_string(attempt);
        } else if constexpr (std::is_same_v<M, protocol::Welcome>) {
          for (const AttemptId attempt : m.drop_attempts) text += " drop " + to_string(attempt);
          text += " keep";
          list(m.keep_held);
        } else if constexpr (std::is_same_v<M, protocol::Cancel>) {
          list(m.calls);
        } else if constexpr (std::is_same_v<M, protocol::Wait>) {
          list(m.calls);
          text += fmt::format(" for {} ms", m.wait_ms);
        } else if constexpr (std::is_same_v<M, protocol::Refused>) {
          text += ": " + m.sentence;
        }
      },
      message);
  return text;
}

std::string words_of(const protocol::Frame& frame) {
  std::string text;
  for (const protocol::Message& message : frame.messages) text += " " + words_of(message);
  return text;
}

} // namespace

void World::show(std::size_t worker, std::string_view arrow, const std::string& bytes,
                 protocol::Direction direction) const {
  if (!trace_.verbose()) return;
  if (const auto frame = protocol::decode(bytes, direction))
    trace_.note(now_ - begin_,
                fmt::format("w{} {} #{}{}", worker, arrow, frame->seq, words_of(*frame)));
}

// Like ZeroMQ's: tried again after 200 ms, then after ever longer, up to 2 s.
void World::connect(std::size_t index, Duration pause) {
  const std::uint64_t process = workers_[index]->process;
  after(random_.between(milliseconds{1}, 2 * pause), [this, index, process, pause] {
    WorkerProcess& caller = *workers_[index];
    if (caller.process != process || !caller.alive) return;
    // Refused, or nobody answers: tried again.
    if (!coordinator_ || now_ < caller.partitioned_until || now_ < coordinator_paused_until_)
      return connect(index, std::min<Duration>(2 * pause, seconds{2}));
    auto connection = std::make_shared<Connection>();
    connection->peer = fmt::format("p{}", next_connection_++);
    connection->worker = index;
    connection->process = process;
    connection->life = life_;
    connections_[connection->peer] = connection;
    to_worker(index, [this, index, connection](WorkerProcess& worker) {
      // A stopped process may find its coordinator gone again when it wakes.
      if (!coordinator_ || connection->life != life_) return connect(index);
      worker.connection = connection;
      carry_out(index, worker.worker->link_up(worker.clock.at(now_)));
    });
  });
}

void World::cut(std::size_t index) {
  WorkerProcess& worker = *workers_[index];
  if (!worker.alive || !worker.connection || !worker.connection->open) return;
  exact_ = false;
  ++verdict_.cuts;
  trace("w{} connection cut", index);
  worker.connection->open = false;
  worker.connection->lingers = worker.connection->life == life_ && random_.chance(0.5);
  const std::uint64_t process = worker.process;
  to_worker(index, [this, index, process](WorkerProcess& cut_off) {
    carry_out(index, cut_off.worker->link_down("cut", cut_off.clock.at(now_)));
    if (cut_off.alive && cut_off.process == process) connect(index);
  });
}

void World::partition(std::size_t index, Duration length) {
  exact_ = false;
  WorkerProcess& worker = *workers_[index];
  trace("w{} partitioned for {} ms", index, to_ms(length));
  worker.partitioned_until = std::max(worker.partitioned_until, now_ + length);
  const auto connection = worker.connection;
  if (!connection || !connection->open) return;
  const double which = random_.unit();
  if (which < 0.7) connection->last_up = std::max(connection->last_up, now_ + length);
  if (which > 0.3) connection->last_down = std::max(connection->last_down, now_ + length);
  if (length < silence_max) return;
  after(silence_max + upto(seconds{2}), [this, index, connection] {
    if (workers_[index]->connection == connection) cut(index);
  });
}

Duration World::travel() {
  Duration time = around(swarm_.network_mean);
  // In a quiet history a little less than what a worker waits for the answer to a Need.
  if (luck(swarm_.tail))
    time += swarm_.edge ? random_.between(milliseconds{150}, milliseconds{480})
                        : random_.between(milliseconds{500}, seconds{6});
  return time;
}

// Down: from the coordinator to a worker.

void World::send(wiring::SendFrames told) {
  if (!coordinator_) return;
  for (const auto& frame : told.frames) send_to_worker(frame);
  if (told.consumed_bytes > 0 && coordinator_->gauge.consumed(told.consumed_bytes)) wake_gateway();
}

void World::send_to_worker(const coordinator::OutgoingFrame& frame) {
  const auto it = connections_.find(frame.peer);
  const auto connection = it == connections_.end() ? nullptr : it->second;
  if (connection) watch(*connection, frame.bytes);
  if (!connection || !connection->open || connection->life != life_) {
    after(milliseconds{1}, [this, peer = frame.peer, life = life_] {
      if (life == life_) tell_coordinator(wiring::PeersGone{{peer}});
    });
    return;
  }
  show(connection->worker, "<--", frame.bytes, protocol::Direction::from_coordinator);
  if (luck(swarm_.drop)) {
    exact_ = false;
    ++connection->lost;
    return;
  }
  connection->last_down = std::max(connection->last_down, now_ + travel());
  at(connection->last_down,
     [this, connection, bytes = frame.bytes] { deliver_down(connection, bytes); });
  if (luck(swarm_.repeat))
    at(connection->last_down + travel(),
       [this, connection, bytes = frame.bytes] { deliver_down(connection, bytes); });
}

void World::deliver_down(const std::shared_ptr<Connection>& connection, const std::string& bytes) {
  if (!connection->open) return;
  to_worker(connection->worker, [this, connection, bytes](WorkerProcess& worker) {
    if (!connection->open || worker.connection != connection) return;
    worker.permits.heard(bytes);
    carry_out(connection->worker, worker.worker->received(bytes, worker.clock.at(now_)));
  });
}

// What the coordinator says must be true by the time it says it.
void World::watch(const Connection& connection, const std::string& bytes) {
  const auto frame = protocol::decode(bytes, protocol::Direction::from_coordinator);
  if (!frame)
    return violation("a frame of the coordinator cannot be read: " + frame.error().message);
  for (const protocol::Message& message : frame->messages)
    watch(connection, frame->session, message);
}

void World::watch(const Connection& connection, SessionId session,
                  const protocol::Message& message) {
  if (const auto* batch = std::get_if<protocol::Batch>(&message))
    for (const auto& call : batch->calls) ledger_.planned(call.call, call.part_ids());
  if (const auto* recorded = std::get_if<protocol::Recorded>(&message))
    for (const AttemptId attempt : recorded->attempts) ledger_.recorded(attempt);
  const auto* refused = std::get_if<protocol::Refused>(&message);
  if (refused != nullptr && refused->sentence.starts_with("expected frame") && connection.lost == 0)
    violation(fmt::format("w{} is told of a gap, no frame was lost: {}", connection.worker,
                          refused->sentence));
  WorkerProcess& worker = *workers_[connection.worker];
  if (refused != nullptr && worker.process == connection.process &&
      refused->sentence.starts_with("this worker said what cannot be true")) {
    worker.outlaw = true;
    for (const auto& [attempt, running] : worker.running) forget_flight(*running);
  }
  if (std::holds_alternative<protocol::Welcome>(message)) {
    ledger_.welcomed(session);
    if (worker.process == connection.process) worker.outlaw = false;
  }
  const auto* permits = std::get_if<protocol::Permits>(&message);
  if (permits == nullptr) return;
  const Duration slack = 2 * (swarm_.channel_max + stalled_most()) +
                         (swarm_.coordinator_pause > 0 ? seconds{30} : seconds{0});
  for (const protocol::Permit& permit : permits->permits)
    ledger_.permitted({permit.call, permit.attempt, connection.worker, connection.process,
                       clock_.at(now_), slack});
}

// Up: from a worker to the coordinator.

// As if the worker kept the outcomes of all calls that others are making. What is of an earlier
// life of the coordinator nobody could deny.
void World::claim_all(std::size_t index, std::vector<protocol::Claim>& claims) {
  for (std::size_t other = 0; other < workers_.size(); ++other) {
    if (other == index) continue;
    for (const auto& [attempt, running] : workers_[other]->running) {
      const CallId call = ledger_.call_of(attempt);
      const auto job = ledger_.job_of(running->request.plan);
      if (call && job && attempt.epoch() == epoch_.value)
        claims.push_back({call, attempt, ledger_.parts_of(call), {}});
    }
  }
}

// A heartbeat, or in its place what a liar says of a call that another worker is making.
std::string World::forged(std::size_t index, std::string bytes) {
  auto frame = protocol::decode(bytes, protocol::Direction::from_worker);
  if (!frame) return bytes;
  if (auto* hello = std::get_if<protocol::Hello>(&frame->messages.front())) {
    claim_all(index, hello->outbox);
    return encode(*frame);
  }
  const auto beat = std::find_if(frame->messages.begin(), frame->messages.end(),
                                 [](const protocol::Message& message) {
                                   return std::holds_alternative<protocol::Heartbeat>(message);
                                 });
  if (beat == frame->messages.end()) return bytes;
  for (std::size_t other = 0; other < workers_.size(); ++other) {
    if (other == index || workers_[other]->running.empty()) continue;
    const auto& [attempt, running] = *workers_[other]->running.begin();
    const CallId call = ledger_.call_of(attempt);
    const auto job = ledger_.job_of(running->request.plan);
    if (!call || !job) continue;
    trace("w{} lies of {}", index, to_string(attempt));
    if (random_.chance(0.3)) {
      *beat = protocol::Returned{{{call, attempt}}, false, false};
    } else {
      protocol::Outcome outcome;
      outcome.call = call;
      outcome.attempt = attempt;
      outcome.parts = ledger_.parts_of(call);
      outcome.cls = OutcomeClass::ok;
      outcome.http_status = 200;
      outcome.body = R"({"choices":[{"index":0,"message":{"role":"assistant","content":"no"}}]})";
      *beat = protocol::Outcomes{{std::move(outcome)}};
    }
    return encode(*frame);
  }
  return bytes;
}

void World::send_to_coordinator(std::size_t index, std::string frame) {
  const auto connection = workers_[index]->connection;
  if (!connection || !connection->open) return;
  if (luck(swarm_.lie)) frame = forged(index, std::move(frame));
  show(index, "-->", frame, protocol::Direction::from_worker);
  if (luck(swarm_.drop)) {
    exact_ = false;
    ++connection->lost;
    return;
  }
  connection->last_up = std::max(connection->last_up, now_ + travel());
  // No transport repeats a Hello; what is numbered may be repeated.
  if (luck(swarm_.repeat)) {
    const auto read = protocol::decode(frame, protocol::Direction::from_worker);
    if (read && read->seq != 0)
      at(connection->last_up + travel(),
         [this, connection, frame] { deliver_up(connection, frame); });
  }
  at(connection->last_up,
     [this, connection, bytes = std::move(frame)] { deliver_up(connection, bytes); });
}

void World::deliver_up(const std::shared_ptr<Connection>& connection, const std::string& bytes) {
  if (!connection->open && !connection->lingers) return;
  if (!coordinator_ || connection->life != life_) return;
  show(connection->worker, "==>", bytes, protocol::Direction::from_worker);
  arrived_.push_back({connection->peer, "", bytes});
  wake_gateway();
}

// The gateway's thread: it hands over what has come together meanwhile, as far as it may read.
void World::wake_gateway() {
  if (std::exchange(coordinator_->gateway_awake, true)) return;
  after(upto(swarm_.channel_max / 4), [this, life = life_] {
    to_coordinator([this, life] {
      if (coordinator_ && life == life_) read_frames();
    });
  });
}

void World::read_frames() {
  constexpr std::size_t batch_frames = 64;
  wiring::FramesIn in;
  ReadGauge& gauge = coordinator_->gauge;
  while (!arrived_.empty() && in.frames.size() < batch_frames && gauge.may_read()) {
    gauge.received(arrived_.front().bytes.size());
    in.frames.push_back(std::move(arrived_.front()));
    arrived_.pop_front();
  }
  coordinator_->gateway_awake = false;
  if (!in.frames.empty()) post({{wiring::Recipient::coordinator, {}}, std::move(in)});
  if (!arrived_.empty() && gauge.may_read()) wake_gateway();
}

} // namespace gristmill::sim
