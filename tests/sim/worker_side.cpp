// The workers' processes in the simulator, their connections, and the endpoint that they call.
#include "tests/sim/world.hpp"
#include "tests/sim/world_parts.hpp"

#include "protocol/codec.hpp"

#include <charconv>
#include <fmt/format.h>

namespace gristmill::sim {

void World::start_worker(std::size_t index) {
  worker::Options options;
  options.name = fmt::format("w{}", index);
  options.process = Nonce{next_process_};
  options.capacity = {swarm_.concurrency, 1u << 20};
  options.drain_timeout = std::chrono::seconds{25};
  workers_[index] = std::make_unique<WorkerProcess>();
  workers_[index]->process = next_process_++;
  workers_[index]->worker = std::make_unique<worker::Worker>(std::move(options));
  trace(fmt::format("w{} starts", index));
  connect(index);
}

void World::crash_worker(std::size_t index) {
  ++verdict_.worker_crashes;
  WorkerProcess& worker = *workers_[index];
  trace(fmt::format("w{} crashes, {} in flight, {} not recorded", index, worker.worker->in_flight(),
                    worker.worker->unrecorded()));
  wasted_allowed_ += worker.worker->in_flight() + worker.worker->unrecorded();
  worker.alive = false;
  if (worker.connection) worker.connection->open = false;
  after(random_.between(std::chrono::milliseconds{10}, std::chrono::seconds{3}),
        [this, index] { start_worker(index); });
}

// A worker's process hears of the world only while it runs; a stopped one hears all of it later.
void World::to_worker(std::size_t index, std::function<void(WorkerProcess&)> what) {
  WorkerProcess& worker = *workers_[index];
  if (!worker.alive) return;
  if (now_ < worker.paused_until) {
    at(worker.paused_until, [this, index, process = worker.process, what = std::move(what)] {
      if (workers_[index]->process == process) to_worker(index, what);
    });
    return;
  }
  what(worker);
}

void World::connect(std::size_t index) {
  const std::uint64_t process = workers_[index]->process;
  after(random_.between(std::chrono::milliseconds{1}, std::chrono::milliseconds{400}),
        [this, index, process] {
          if (workers_[index]->process != process || !workers_[index]->alive) return;
          if (!coordinator_) return connect(index); // refused: tried again
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
            carry_out(index, worker.worker->link_up(now_));
          });
        });
}

void World::cut(std::size_t index) {
  WorkerProcess& worker = *workers_[index];
  if (!worker.alive || !worker.connection || !worker.connection->open) return;
  ++verdict_.cuts;
  trace(fmt::format("w{} connection cut", index));
  worker.connection->open = false;
  const std::uint64_t process = worker.process;
  to_worker(index, [this, index, process](WorkerProcess& cut_off) {
    carry_out(index, cut_off.worker->link_down("cut", now_));
    if (cut_off.process == process) connect(index);
  });
}

void World::carry_out(std::size_t index, worker::Effects effects) {
  WorkerProcess& worker = *workers_[index];
  for (const auto& event : effects.events) trace(fmt::format("w{} {}", index, event.name));
  if (!effects.refused.empty()) violation("worker refused: " + effects.refused);
  for (auto& frame : effects.frames) send_to_coordinator(index, std::move(frame));
  for (auto& call : effects.starts) start_call(index, std::move(call));
  for (const AttemptId attempt : effects.aborts)
    if (worker.running.contains(attempt)) worker.aborted.insert(attempt);
  const Time wake = worker.worker->wake_at();
  if (wake == never || (wake >= worker.wakes_at && worker.wakes_at > now_)) return;
  worker.wakes_at = std::max(wake, now_);
  at(worker.wakes_at, [this, index, process = worker.process] {
    if (workers_[index]->process != process) return;
    to_worker(index, [this, index](WorkerProcess& awake) {
      awake.wakes_at = never;
      carry_out(index, awake.worker->tick(now_));
    });
  });
}

void World::send_to_coordinator(std::size_t index, std::string frame) {
  const auto connection = workers_[index]->connection;
  if (!connection || !connection->open) return;
  if (!healed_ && random_.chance(swarm_.drop)) return;
  connection->last_up = std::max(connection->last_up, now_ + around(swarm_.network_mean));
  at(connection->last_up, [this, connection, bytes = std::move(frame)] {
    if (!connection->open || !coordinator_ || connection->life != life_) return;
    handle({wiring::Place::coordinator, {}}, wiring::FramesIn{{{connection->peer, "", bytes}}});
  });
}

// An answer is Recorded only when its item's line would survive a crash now.
void World::watch_recorded(std::size_t, const std::string& bytes) {
  const auto frame = protocol::decode(bytes, protocol::Direction::from_coordinator);
  if (!frame)
    return violation("a frame of the coordinator cannot be read: " + frame.error().message);
  const auto* recorded = std::get_if<protocol::Recorded>(&frame->message);
  if (recorded == nullptr) return;
  for (const AttemptId attempt : recorded->attempts) {
    const auto item = item_of_attempt_.find(attempt);
    if (item == item_of_attempt_.end() || !answered_ok_.contains(attempt)) continue;
    if (!store_.is_terminal(JobId{1}, item->second))
      violation(fmt::format("attempt {} was recorded before item {} was durable",
                            to_string(attempt), item->second));
  }
}

// The endpoint.

void World::start_call(std::size_t index, worker::HttpCall call) {
  workers_[index]->running.insert(call.attempt);
  // Most calls leave at once, some only when their permit is about to die.
  const Duration delay =
      swarm_.send_delay + (random_.chance(0.1)
                               ? random_.between(Duration::zero(), std::chrono::milliseconds{400})
                               : around(std::chrono::milliseconds{2}));
  after(delay, [this, index, process = workers_[index]->process, call = std::move(call)] {
    if (workers_[index]->process != process) return;
    to_worker(index, [this, index, call](WorkerProcess&) { arrive(index, call); });
  });
}

void World::arrive(std::size_t index, const worker::HttpCall& call) {
  worker::CallEnded ended;
  ended.attempt = call.attempt;
  WorkerProcess& worker = *workers_[index];
  if (now_ >= call.not_after || worker.aborted.contains(call.attempt)) {
    ended.end = worker::CallEnd::unstarted;
    ended.code = now_ >= call.not_after ? "permit_ended" : "aborted";
    return end_call(index, std::move(ended), Duration::zero());
  }
  const std::string_view text = std::string_view{call.body}.substr(call.body.find("text ") + 5);
  std::uint64_t item = 0;
  std::from_chars(text.data(), text.data() + text.size(), item);
  calls_.push_back({call.attempt, item, now_});
  item_of_attempt_[call.attempt] = item;
  check_call(calls_.back());

  const double luck = healed_ ? 1 : random_.unit();
  double bound = swarm_.server_error;
  Duration latency = around(swarm_.call_mean);
  ended.end = worker::CallEnd::answered;
  ++wasted_allowed_; // of every call that brings no answer; taken back below
  if (luck < bound) {
    ended.http_status = 500;
    ended.body = R"({"error":{"message":"oops","type":"server_error","param":null,"code":null}})";
  } else if (luck < (bound += swarm_.rate_refusal)) {
    ended.http_status = 429;
    ended.headers = {{"retry-after", "1"}};
    ended.body = R"({"error":{"message":"slow","type":"requests","code":"rate_limit_exceeded"}})";
  } else if (luck < (bound += swarm_.reset)) {
    ended.end = worker::CallEnd::failed;
    ended.code = "connection_lost";
  } else if (luck < (bound += swarm_.hang) || latency >= call.timeout) {
    ended.end = worker::CallEnd::timed_out;
    ended.code = "timeout";
    latency = call.timeout;
  } else {
    --wasted_allowed_;
    answered_ok_.insert(call.attempt);
    ended.http_status = 200;
    ended.body = fmt::format(
        R"({{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,)"
        R"("message":{{"role":"assistant","content":"sim {}"}},"finish_reason":"stop"}}],)"
        R"("usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}})",
        item);
  }
  trace(fmt::format("call {} item {} by w{}: {} after {} ms", to_string(call.attempt), item, index,
                    ended.end == worker::CallEnd::answered ? std::to_string(ended.http_status)
                                                           : ended.code,
                    to_ms(latency)));
  end_call(index, std::move(ended), latency);
}

void World::end_call(std::size_t index, worker::CallEnded ended, Duration latency) {
  ended.latency_us = static_cast<std::uint64_t>(latency.count() / 1'000);
  after(latency, [this, index, process = workers_[index]->process, ended = std::move(ended)] {
    if (workers_[index]->process != process) return;
    to_worker(index, [this, index, ended](WorkerProcess& worker) {
      worker.running.erase(ended.attempt);
      worker.aborted.erase(ended.attempt);
      std::vector<worker::CallEnded> one{ended};
      carry_out(index, worker.worker->ended(std::move(one), now_));
    });
  });
}

} // namespace gristmill::sim
