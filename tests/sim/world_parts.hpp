// The moving parts of a World: what dies in a crash. Private to the simulator.
#pragma once

#include "tests/sim/world.hpp"

namespace gristmill::sim {

struct World::Connection {
  std::string peer;
  std::size_t worker = 0;
  std::uint64_t process = 0, life = 0;
  bool open = true;
  Time last_up{}, last_down{}; // frames of one direction keep their order
};

struct World::WorkerProcess {
  std::uint64_t process = 0;
  bool alive = true;
  std::unique_ptr<worker::Worker> worker;
  std::shared_ptr<Connection> connection;
  Time paused_until{};
  Time wakes_at = never;
  std::set<AttemptId> aborted, running;
};

struct World::Coordinator {
  std::unique_ptr<wiring::CoordinatorNode> node;
  std::map<wiring::Address, std::unique_ptr<wiring::Room>> rooms;
  std::map<wiring::Address, std::uint64_t> alarms;
  std::map<std::pair<wiring::Address, wiring::Address>, Time> channels;
};

} // namespace gristmill::sim
