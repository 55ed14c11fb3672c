// The moving parts of a World: what dies in a crash. Private to the simulator.
#pragma once

#include "actors/kit/socket_thread.hpp"
#include "actors/wiring/node_shell.hpp"
#include "tests/sim/permit_watch.hpp"
#include "tests/sim/world.hpp"

namespace gristmill::sim {

// When somebody wants to be woken, and the event that will wake him.
struct World::Alarm {
  Time wanted = never, set = never;
};

struct World::Connection {
  std::string peer;
  std::size_t worker = 0;
  std::uint64_t process = 0, life = 0;
  bool open = true;
  bool lingers = false;        // what had left when it was cut arrives all the same
  Time last_up{}, last_down{}; // frames of one direction keep their order
  std::uint64_t lost = 0;      // frames that vanished on it: gaps that are ours
};

struct World::Running {
  worker::HttpCall call;
  Request request;
  std::uint64_t process = 0;
  std::size_t worker = 0;
  bool left = false, aborted = false, ok = false;
  bool repaired_in_vain = false; // its answer still does not fit
  bool counted = false;          // among the calls in flight
  Ledger::Price price{};         // of its failure
};

struct World::WorkerProcess {
  std::uint64_t process = 0;
  bool alive = true, reachable = true; // not reachable: partitioned
  bool hangs = false;                  // its thread that makes the calls
  bool outlaw = false;                 // it lied too often: nobody answers for what it still does
  LocalClock clock;
  std::unique_ptr<worker::Worker> worker;
  std::shared_ptr<Connection> connection;
  Time paused_until{}, partitioned_until{};
  Alarm alarm;
  std::deque<std::function<void(WorkerProcess&)>> unheard; // while it is stopped
  std::map<AttemptId, std::shared_ptr<Running>> running;
  std::set<EndpointId> pages; // that it reads
  PermitWatch permits;
};

// A room on its stage: as in production, what is posted stands in its mailbox until it has a
// thread, and what it has not handled when it ends is gone.
struct World::Player {
  struct Mail {
    std::shared_ptr<wiring::Message> body; // empty: an alarm
    std::uint64_t alarm = 0;               // which one
  };
  wiring::Address address;
  std::unique_ptr<wiring::Room> room;
  std::deque<Mail> mailbox;
  bool scheduled = false, ended = false;
  Alarm alarm;
  std::uint64_t alarms = 0; // asked for; only the last one holds
};

struct World::Coordinator {
  explicit Coordinator(std::size_t read_max) : gauge{read_max} {}
  std::unique_ptr<wiring::CoordinatorNode> node;
  wiring::RoomBook<std::shared_ptr<Player>> rooms;
  ReadGauge gauge;
  bool gateway_awake = false;
};

// Who submitted a plan's job, and what he still means to do with it.
struct World::User {
  enum class Asked : std::uint8_t {
    nothing,
    submit,
    pause,
    cancel,
    go_on,
    retry,
    forget,
    append,
    close
  };
  std::uint64_t appends = 0; // the number of the append that is asked for
  Time appended_at{};
  Asked asked = Asked::nothing;
  std::uint64_t token = 0;
  Time asked_at{}, paused_at{}, over_at{never};
  bool paused = false, cancelled = false, retried = false, done = false;
  Time fed_at{};    // when a call of the job left, or there was a reason for none
  JobCounts counts; // as they were last seen
};

} // namespace gristmill::sim
