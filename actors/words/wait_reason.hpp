// WAIT REASON: why a call, or a job's next one, does not begin now. Each room says what it knows in
// these words; actors/jobs/explanation.cpp alone makes sentences of them. Plain data. Invariant:
// two reasons are the same to people if kind and endpoint are equal, whatever their times say.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

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
  reading,      // the input is read before anything is called
  input,        // there is no more of it now
  retry,        // for another attempt
  same_request, // an item that asks the same goes first (--dedupe)
  open_items,   // as many items are open as are kept
  endpoint,     // nothing is answered: its endpoints are away, not ready or full, or refuse it

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

// Who says it: a room of what it knows, or the job or item as a whole.
enum class WaitSayer : std::uint8_t { nobody, limiter, coordinator, supervisor, whole };

struct WaitInfo {
  WaitKind kind;
  WaitSayer sayer;
  std::string_view name;  // for programs
  std::string_view words; // for people, where there is no room for a sentence; or empty
};

// Nobody can tell when it ends: when a call under way does.
constexpr bool is_for_a_place(WaitKind kind) {
  return kind == WaitKind::calls_allowed || kind == WaitKind::calls_taken_up;
}

inline constexpr std::array wait_infos{
    WaitInfo{WaitKind::none, WaitSayer::nobody, "none", ""},
    WaitInfo{WaitKind::requests, WaitSayer::limiter, "requests", "requests per minute"},
    WaitInfo{WaitKind::tokens, WaitSayer::limiter, "tokens", "tokens per minute"},
    WaitInfo{WaitKind::day_requests, WaitSayer::limiter, "day_requests", "requests per day"},
    WaitInfo{WaitKind::day_tokens, WaitSayer::limiter, "day_tokens", "tokens per day"},
    WaitInfo{WaitKind::calls_allowed, WaitSayer::limiter, "calls_allowed",
             "all calls in flight that are allowed"},
    WaitInfo{WaitKind::calls_taken_up, WaitSayer::limiter, "calls_taken_up",
             "all calls in flight that the server takes up"},
    WaitInfo{WaitKind::cooldown, WaitSayer::limiter, "cooldown", "the endpoint asked us to wait"},
    WaitInfo{WaitKind::breaker, WaitSayer::limiter, "breaker",
             "the endpoint fails; it is tried again now and then"},
    WaitInfo{WaitKind::quota, WaitSayer::limiter, "quota",
             "its account's quota or credit is used up; it is asked again now and then"},
    WaitInfo{WaitKind::journal, WaitSayer::limiter, "journal", "the budget block is being written"},
    WaitInfo{WaitKind::budget, WaitSayer::limiter, "budget", ""},
    WaitInfo{WaitKind::no_worker, WaitSayer::coordinator, "no_worker", ""},
    WaitInfo{WaitKind::workers_full, WaitSayer::coordinator, "workers_full", ""},
    WaitInfo{WaitKind::turn, WaitSayer::coordinator, "turn", "other jobs' calls go first"},
    WaitInfo{WaitKind::unserved, WaitSayer::coordinator, "unserved", ""},
    WaitInfo{WaitKind::claims, WaitSayer::coordinator, "claims", ""},
    WaitInfo{WaitKind::reading, WaitSayer::supervisor, "reading", ""},
    WaitInfo{WaitKind::input, WaitSayer::supervisor, "input", "there is no more of its input now"},
    WaitInfo{WaitKind::retry, WaitSayer::supervisor, "retry", ""},
    WaitInfo{WaitKind::same_request, WaitSayer::supervisor, "same_request", ""},
    WaitInfo{WaitKind::open_items, WaitSayer::supervisor, "open_items", ""},
    WaitInfo{WaitKind::endpoint, WaitSayer::supervisor, "endpoint", ""},
    WaitInfo{WaitKind::paused, WaitSayer::whole, "paused", ""},
    WaitInfo{WaitKind::disk, WaitSayer::whole, "disk", ""},
    WaitInfo{WaitKind::cancelling, WaitSayer::whole, "cancelling", ""},
    WaitInfo{WaitKind::merging, WaitSayer::whole, "merging", ""},
    WaitInfo{WaitKind::over, WaitSayer::whole, "over", ""},
    WaitInfo{WaitKind::queued, WaitSayer::whole, "queued", ""},
    WaitInfo{WaitKind::held, WaitSayer::whole, "held", ""},
    WaitInfo{WaitKind::in_flight, WaitSayer::whole, "in_flight", ""},
    WaitInfo{WaitKind::recorded, WaitSayer::whole, "recorded", ""},
    WaitInfo{WaitKind::not_read, WaitSayer::whole, "not_read", ""},
    WaitInfo{WaitKind::not_open, WaitSayer::whole, "not_open", ""},
};
constexpr const WaitInfo& info(WaitKind kind) {
  return wait_infos[static_cast<std::size_t>(kind)];
}
constexpr std::string_view name_of(WaitKind kind) {
  return info(kind).name;
}
static_assert(wait_infos.size() == static_cast<std::size_t>(WaitKind::not_open) + 1 &&
              std::all_of(wait_infos.begin(), wait_infos.end(),
                          [](const WaitInfo& row) { return &info(row.kind) == &row; }));

struct WaitReason {
  WaitKind kind = WaitKind::none;
  std::string endpoint{}; // URL; empty: the job's own budget, or no endpoint has to do with it
  std::string worker{};
  std::uint64_t limit = 0;      // that is reached
  bool learned = false;         // … found while calls were made, rather than configured
  std::uint64_t configured = 0; // what was; 0 = nothing
  Time until = never;           // never = not known
  Time since{};                 // Time{} = not known
  AttemptId attempt{};          // whose answer, or which call
  std::string because{};        // in words, where the kind does not say all

  explicit operator bool() const { return kind != WaitKind::none; }
};

// In a few words: what it says itself, else what its kind says.
inline std::string_view words_of(const WaitReason& reason) {
  return reason.because.empty() ? info(reason.kind).words : std::string_view{reason.because};
}

inline bool same_to_people(const WaitReason& a, const WaitReason& b) {
  return a.kind == b.kind && a.endpoint == b.endpoint;
}

} // namespace gristmill
