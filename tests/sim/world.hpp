// WORLD: one coordinator, a few workers and an endpoint on simulated time, network and disk. The
// rooms, the wiring, the codec and the worker are the production classes; only what is outside of
// them is played here. Two phases as in FoundationDB's and TigerBeetle's simulators: first anything
// may fail, then everything is healed and the job must end.
//
//   worker 1..n  --frames-->  connection (delay, loss, cut)  --frames-->  rooms of the coordinator
//       |                                                                     |
//       calls --> endpoint (errors, hangs)                        groups --> memory store (crash)
//
// Invariant: the same seed gives the same history, to the last event.
#pragma once

#include "actors/wiring/coordinator_node.hpp"
#include "actors/worker/worker.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/sim/swarm.hpp"

#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

namespace gristmill::sim {

struct Verdict {
  std::vector<std::string> violations; // empty = the history is right
  std::uint64_t calls = 0, events = 0, trace_hash = 0;
  std::uint64_t worker_crashes = 0, coordinator_crashes = 0, cuts = 0;
  double virtual_seconds = 0;
};

class World {
public:
  World(std::uint64_t seed, bool verbose);
  ~World();
  Verdict run();

private:
  struct Connection;
  struct WorkerProcess;
  struct Coordinator;
  struct ProviderCall {
    AttemptId attempt;
    std::uint64_t item = 0;
    Time at{};
  };
  struct Event {
    Time at;
    std::uint64_t order;
    std::function<void()> what;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  void after(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  void at(Time time, std::function<void()> what);
  void trace(const std::string& line);
  void violation(std::string what);
  Duration around(Duration mean); // exponential with the given mean
  wiring::Moment moment() const { return {now_, now_.time_since_epoch().count() / 1'000'000'000}; }

  // coordinator_side.cpp
  void start_coordinator();
  void crash_coordinator();
  void deliver(const wiring::Address& from, wiring::Envelope envelope);
  void handle(const wiring::Address& address, wiring::Message message);
  void carry_out(const wiring::Address& from, wiring::Post post);
  void send_to_worker(const coordinator::OutgoingFrame& frame);
  void write(journal::Group group);
  void submit();
  void poll(std::uint64_t life);

  // worker_side.cpp
  void start_worker(std::size_t index);
  void crash_worker(std::size_t index);
  void connect(std::size_t index);
  void cut(std::size_t index);
  void to_worker(std::size_t index, std::function<void(WorkerProcess&)> what);
  void carry_out(std::size_t index, worker::Effects effects);
  void send_to_coordinator(std::size_t index, std::string frame);
  void start_call(std::size_t index, worker::HttpCall call);
  void arrive(std::size_t index, const worker::HttpCall& call);
  void end_call(std::size_t index, worker::CallEnded ended, Duration latency);
  void watch_recorded(std::size_t index, const std::string& frame);

  // world.cpp
  void roll_faults();
  void check_call(const ProviderCall& call);
  void check_end();
  void check_windows();
  void check_result();
  bool finished() const;

  Random random_;
  Swarm swarm_;
  bool verbose_;
  Time now_{std::chrono::seconds{1'000}};
  Time begin_{now_};
  std::uint64_t next_order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  bool healed_ = false;

  std::string input_;
  JobSpec spec_;
  MemoryStore store_;
  std::string result_;
  std::unique_ptr<Coordinator> coordinator_;
  std::uint64_t life_ = 0; // of the coordinator
  std::vector<std::unique_ptr<WorkerProcess>> workers_;
  std::map<std::string, std::shared_ptr<Connection>> connections_; // by peer id
  std::uint64_t next_connection_ = 1, next_process_ = 1;

  std::vector<ProviderCall> calls_;
  std::set<AttemptId> attempts_seen_;
  std::map<AttemptId, std::uint64_t> item_of_attempt_;
  std::set<AttemptId> answered_ok_;
  std::uint64_t wasted_allowed_ = 0;
  Verdict verdict_;
};

} // namespace gristmill::sim
