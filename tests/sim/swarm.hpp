// SWARM: the conditions of one simulated history, drawn anew from its seed, so that each history
// exercises another mix (Groce et al., "Swarm testing", 2012).
#pragma once

#include "actors/kit/random.hpp"

#include <string>

namespace gristmill::sim {

struct Swarm {
  std::uint32_t items = 0, workers = 0, concurrency = 0;
  std::uint64_t requests_per_minute = 0; // 0 = unlimited
  Duration network_mean{}, commit_mean{}, call_mean{};
  double cut = 0;               // a connection closes, per 100 ms and worker
  double drop = 0;              // a frame vanishes on an open connection
  double worker_crash = 0;      // per 100 ms and worker
  double coordinator_crash = 0; // per 100 ms
  double pause = 0;             // a worker's process stops for a while, per 100 ms
  double server_error = 0, rate_refusal = 0, reset = 0, hang = 0;
  Duration send_delay{}; // until a call leaves its worker: a far endpoint's handshake
  Duration poll{};       // between two questions of a client; 0 = nobody asks
  Duration faulty_phase{};

  static Swarm draw(Random& random);
  std::string text() const; // one line
};

} // namespace gristmill::sim
