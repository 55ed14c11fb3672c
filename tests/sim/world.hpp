// WORLD: one coordinator, a few workers, an endpoint or two and their users, on simulated time,
// network and disk. The rooms, the wiring, the codec and the worker are the production classes;
// only what is outside of them is played here. Two phases as in FoundationDB's and TigerBeetle's
// simulators: first anything may fail, then everything is healed and the jobs must end.
//
//   worker 1..n  --frames-->  connection (delay, loss, cut)  --frames-->  rooms of the coordinator
//       |                                                                     |
//       calls --> provider (errors, hangs)                       groups --> memory store (crash)
//
// Invariant: the same seed gives the same history, to the last event.
#pragma once

#include "actors/wiring/coordinator_node.hpp"
#include "actors/worker/worker.hpp"
#include "protocol/node/codec.hpp"
#include "tests/sim/ledger.hpp"
#include "tests/sim/local_clock.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/sim/provider.hpp"
#include "tests/sim/soak.hpp"
#include "tests/sim/trace.hpp"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <span>

namespace gristmill::sim {

struct Verdict {
  std::vector<std::string> violations; // empty = the history is right
  std::uint64_t calls = 0, events = 0, trace_hash = 0;
  std::uint64_t worker_crashes = 0, coordinator_crashes = 0, room_crashes = 0, cuts = 0;
  double virtual_seconds = 0;
  Soak soak;
};

class World {
public:
  World(std::uint64_t seed, bool verbose);
  World(std::pair<Random, Swarm> begin, bool verbose); // the state of chance, and what was drawn
  ~World();
  Verdict run();
  Verdict run_soak(); // its lists are watched

  // What `wiring::carry_out` needs of the outside.
  void log(const wiring::Address& room, const gristmill::Event& event);
  void forget(const wiring::Address& room);
  void fatal(Error error);
  void send(wiring::SendFrames frames);
  void commit(journal::Group group);
  void read_job(JobId job);
  void find_answers(wiring::FindAnswers find);
  void keep_answers(std::vector<KeptAnswer> answers);
  void check_shared(const coordinator::SharedCheck&) {} // nobody shares one here
  void answer(wiring::Answer answer);
  void post(wiring::Envelope envelope);

private:
  struct Connection;
  struct Running;
  struct WorkerProcess;
  struct Alarm;
  struct Player;
  struct Coordinator;
  struct User;
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
  template <class... Args> void trace(fmt::format_string<Args...> text, const Args&... args) {
    trace_.line(now_ - begin_, text, args...);
  }
  void violation(std::string what);
  Duration around(Duration mean); // exponential with the given mean
  Duration upto(Duration most) { return random_.between(Duration::zero(), most); }
  bool luck(double chance) { return !healed_ && chance > 0 && random_.chance(chance); }
  bool done() const;
  void watch_sizes(); // soak.cpp
  void step();
  void watch_work();
  void settle();
  void check_end();
  void check_result(std::size_t plan);
  static std::string answer_of(const nlohmann::json& body, const JobPlan& wish);
  std::string wanted_of(std::size_t plan, std::uint64_t item) const;
  void check_answers(const nlohmann::json& line, std::size_t plan, std::uint64_t item);

  // inputs.cpp
  void make_inputs();
  std::string line_of(std::size_t plan, std::uint32_t item);
  std::string document_of(std::size_t plan, std::uint32_t item) const;
  std::string_view piece(std::size_t plan, std::size_t number) const;
  bool append(std::size_t plan, JobId job); // true: its user asks for something
  bool grows(std::size_t plan) const { return swarm_.jobs[plan].grows_for != Duration::zero(); }
  std::size_t bytes_there(std::size_t plan) const;
  void feed(std::size_t plan);
  void make_endpoints();
  JobSpec spec_of(std::size_t plan) const;

  // coordinator_side.cpp
  void start_coordinator();
  void stop_coordinator();
  void crash_coordinator();
  void to_coordinator(std::function<void()> what);
  void wake_coordinator();
  void tell_coordinator(wiring::Message message);

  // stage.cpp
  std::shared_ptr<Player> make_player(const wiring::Address& address);
  void schedule(const std::shared_ptr<Player>& player, double stall);
  void play(const std::shared_ptr<Player>& player);
  void handle(const std::shared_ptr<Player>& player, wiring::Message message);
  void wake(const std::shared_ptr<Player>& player);
  Duration stalled_most() const;
  void set_alarm(const std::shared_ptr<Player>& player, Time local);
  void ring_at(const std::shared_ptr<Player>& player, Time when);
  wiring::Moment moment() const;

  // cache.cpp
  RequestKey cache_key_of(std::size_t plan, std::string_view line) const;
  void fill_cache();

  // disk.cpp
  wiring::NodeOptions node_options();
  void wrote();
  void make_durable();

  // network.cpp
  void connect(std::size_t index, Duration pause = std::chrono::milliseconds{200});
  void cut(std::size_t index);
  void partition(std::size_t index, Duration length);
  void send_to_worker(const coordinator::OutgoingFrame& frame);
  void deliver_down(const std::shared_ptr<Connection>& connection, const std::string& bytes);
  void send_to_coordinator(std::size_t index, std::string frame);
  std::string forged(std::size_t index, std::string frame);
  void claim_all(std::size_t index, std::vector<protocol::Claim>& claims);
  void deliver_up(const std::shared_ptr<Connection>& connection, const std::string& bytes);
  void wake_gateway();
  void read_frames();
  void watch(const Connection& connection, const std::string& frame);
  void watch(const Connection& connection, SessionId session, const protocol::Message& message);
  Duration travel();
  void show(std::size_t worker, std::string_view arrow, const std::string& frame,
            protocol::Direction direction) const;

  // worker_side.cpp
  void start_worker(std::size_t index);
  void end_worker(std::size_t index, bool silently);
  void drain_worker(std::size_t index);
  void to_worker(std::size_t index, std::function<void(WorkerProcess&)> what);
  void wake_worker(std::size_t index);
  void ring_worker_at(std::size_t index, Time when);
  void carry_out(std::size_t index, worker::Effects effects);
  void begin_call(std::size_t index, worker::HttpCall call);
  void leave(std::size_t index, const std::shared_ptr<Running>& running);
  void arrive(const std::shared_ptr<Running>& running);
  void end_call(std::size_t index, AttemptId attempt, worker::CallEnded ended);
  void forget_flight(Running& running);
  void repaired_in_vain(const Request& request);
  void abort_call(std::size_t index, AttemptId attempt);
  void read_page(std::size_t index, const worker::PageRead& read);
  void check_worker(std::size_t index);

  // faults.cpp
  void roll_faults();
  void roll_worker(std::size_t index);
  void swizzle();
  void heal();

  // users.cpp
  void users_act();
  void act(std::size_t plan);
  bool goes_first(std::size_t plan) const;
  void mind_hunger(std::size_t plan);
  template <class Question> void ask(std::size_t plan, Question question);
  void poll(std::uint64_t life);
  void polled(const std::vector<wiring::JobView>& views);

  Random random_;
  Swarm swarm_;
  Trace trace_;
  Time now_{std::chrono::seconds{1'000}};
  Time begin_{now_};
  std::uint64_t next_order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  bool healed_ = false, exact_ = true; // exact: nothing has happened that may hide a call
  Time healed_at_{};

  std::vector<std::string> inputs_;
  std::vector<std::vector<std::size_t>> item_begins_; // in them
  std::vector<PoolSpec> pools_;
  // How its jobs' items are divided: as they say, but that no job of a user's says yet what goes
  // together in one call of embeddings.
  class Division final : public supervisor::PartPlan {
  public:
    explicit Division(const World& world) : world_{world} {}
    std::uint32_t models_of(JobId job) const override { return plan_of(job).models; }
    supervisor::Division division_of(JobId job, const intake::Item& item,
                                     const bpe::Tokenizer* tokenizer) const override;
    Result<supervisor::RawPart> raw_of(const PartId& part, ItemKind kind,
                                       const supervisor::DividedItem* divided,
                                       const ReadItem& read) const override;
    Result<std::string> fields_of(const PartId& part, ItemKind kind,
                                  const ReadItem& read) const override {
      return real(part.job).fields_of(part, kind, read);
    }
    bool is_chunked(JobId job, ItemKind kind) const override {
      return real(job).is_chunked(job, kind);
    }

  private:
    struct Job {
      JobSpec spec;
      std::optional<supervisor::JobParts> parts;
    };
    const JobPlan& plan_of(JobId job) const;
    const supervisor::JobParts& real(JobId job) const;
    const World& world_;
    mutable std::map<JobId, std::unique_ptr<Job>> jobs_;
  };
  Division part_plan_{*this};
  MemoryStore store_;
  std::map<RequestKey, KnownAnswer> cache_;
  std::map<RequestKey, std::pair<std::size_t, std::uint64_t>> cached_requests_; // of plain items
  Time disk_full_until_{};
  std::map<std::string, std::string> results_; // by path
  std::unique_ptr<Coordinator> coordinator_;
  std::uint64_t life_ = 0;
  Epoch epoch_;
  std::uint32_t boot_ = 0;
  LocalClock clock_; // the coordinator's
  Duration wall_off_{};
  Time coordinator_paused_until_{};
  std::deque<std::function<void()>> unheard_; // while it is stopped
  std::set<std::uint64_t> heard_;             // processes that said Hello in this life
  std::vector<std::unique_ptr<WorkerProcess>> workers_;
  std::map<std::string, std::shared_ptr<Connection>> connections_; // by peer id
  std::deque<coordinator::ReceivedFrame> arrived_; // that the coordinator's gateway has not read
  std::set<std::uint64_t> asked_;                  // questions that wait for an answer
  std::uint64_t next_connection_ = 1, next_process_ = 1, next_token_ = 10;
  std::vector<User> users_;
  std::map<std::pair<std::size_t, std::uint64_t>, std::uint64_t> vain_repairs_; // by plan and item

  std::uint64_t looks_ = 0, idle_looks_ = 0; // at whether any call is in flight

  Verdict verdict_;
  Ledger ledger_;
  Provider provider_;
};

} // namespace gristmill::sim
