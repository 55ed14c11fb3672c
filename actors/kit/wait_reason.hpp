// WAIT REASON: why a call, or a job's next one, does not begin now. Each room says what it knows in
// these words; actors/wiring/explanation.cpp alone makes sentences of them. Plain data. Invariant:
// two reasons are the same to people if kind and endpoint are equal, whatever their times say.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <cstdint>
#include <string>

namespace gristmill {

enum class WaitKind : std::uint8_t {
  none, // it does not wait

  // Of RATE LIMITER.
  requests,       // requests per minute
  tokens,         // tokens per minute
  day_requests,   // requests per day
  day_tokens,     // tokens per day
  calls_allowed,  // max_in_flight calls are under way
  calls_taken_up, // … or as many as the server was found to take up
  cooldown,       // the endpoint is parked by an answer
  breaker,        // the endpoint fails
  quota,          // the quota or credit of its account is used up
  journal,        // what must be durable first is being written
  budget,         // any other that it gives a sentence for

  // Of COORDINATOR.
  no_worker,
  workers_full,
  turn,     // other jobs go first; of RATE LIMITER where an endpoint is named
  unserved, // nobody serves the model
  claims,   // after a restart: the workers have not yet said what they hold

  // Of SUPERVISOR.
  reading,    // the input is read before anything is called
  retry,      // for another attempt
  open_items, // as many items are open as are kept
  endpoint,   // nothing is answered: its endpoints are away, not ready or full, or refuse it

  // Of a job or an item as a whole.
  paused,
  disk,
  cancelling,
  merging,
  over,
  queued,    // the item's call is ready and has not been sent to a worker
  held,      // … is with a worker, without a permit
  in_flight, // … is being made
  recorded,  // the item has its result line
  not_read,
  not_open, // recorded already, or there is no such item
};

struct WaitReason {
  WaitKind kind = WaitKind::none;
  std::string endpoint; // URL; empty: the job's own budget, or no endpoint has to do with it
  std::string worker;
  std::uint64_t limit = 0;      // that is reached
  bool learned = false;         // … found while calls were made, rather than configured
  std::uint64_t configured = 0; // what was; 0 = nothing
  Time until = never;           // never = not known
  Time since{};                 // Time{} = not known
  AttemptId attempt;            // whose answer, or which call
  std::string because;          // in words, where the kind does not say all

  explicit operator bool() const { return kind != WaitKind::none; }
};

inline bool same_to_people(const WaitReason& a, const WaitReason& b) {
  return a.kind == b.kind && a.endpoint == b.endpoint;
}

} // namespace gristmill
