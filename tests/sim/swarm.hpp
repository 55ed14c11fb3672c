// SWARM: the conditions of one simulated history, drawn anew from its seed, so that each history
// exercises another mix (Groce et al., "Swarm testing", 2012). Some histories are quiet, so that
// only the edges of permits, windows and commits are left to fail.
#pragma once

#include "actors/kit/defaults.hpp"
#include "actors/kit/random.hpp"
#include "actors/words/permits.hpp"
#include "protocol/job/pools.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/limits.hpp"
#include "protocol/part_number.hpp"

#include <string>
#include <vector>

namespace gristmill::sim {

// Who makes the calls' endpoints known.
enum class Serving : std::uint8_t { own, pools, announced };

// One job, and what its user does with it.
struct JobPlan {
  std::uint32_t items = 0, text_bytes_max = 0, retries = 1'000;
  RateLimits limits;
  bool by_completion = false;
  double bad = 0, too_long = 0; // share of items that their first model refuses
  bool checked = false;         // answers have to fit a schema
  double unruly = 0;            // share of items whose first answer does not; half of them never do
  Duration submit_at{}, pause_at{}, resume_after{}, cancel_at{}; // zero: not at all (but submit)
  bool retries_failed = false, forgets = false;
  Duration forgets_after{}; // from its end
  Usd budget{};             // of money; its user raises it when the job pauses
  std::uint32_t hedge_percent = 0;
  std::uint32_t weight = 1, priority = 50;
  Duration deadline{};               // after the history's begin; zero: none
  std::uint32_t parts = 1, pack = 1; // of an item at one model; in a call, as its user wants it
  std::uint32_t models = 1;
  bool judged = false;                // one more model sees the answers of all
  bool reduced = false;               // one more call sees the answers to several parts
  bool counted = false;               // its tokens are counted by a tokenizer (tree.hpp)
  std::uint32_t open_most = 0;        // of its parts at each model; 0 = the machine's own number
  double known = 0;                   // share of items that the cache knows an answer to
  std::uint32_t distinct = 0;         // its items ask no more than so many things; 0 = each its own
  double dropped = 0;                 // share of the input's lines that are no items …
  std::uint32_t sample_percent = 100; // … and so many of them only are looked at
  std::uint32_t appends = 0;          // so often its user appends to it
  Duration append_every{};
  Duration grows_for{}; // so long its input takes to come; zero: it is there
  // The item whose question it asks.
  std::uint64_t twin_of(std::uint64_t item) const { return distinct == 0 ? item : item % distinct; }
  bool drops() const { return dropped > 0 || sample_percent < 100; }
  bool embeds() const { return pack > 1; }
  bool is_plain() const { return parts == 1 && models == 1 && !judged && !embeds(); }
  bool is_chunked() const { return parts > 1 && !embeds(); }
  bool asks_several() const { return models > 1 || judged; }
  // A part's place among those of its item, or nearly: what belongs to it is drawn by it.
  std::uint32_t place_of(std::uint32_t part) const {
    const PartNumber number = PartNumber::of(part);
    if (number.is_judge()) return models * parts;
    return number.model * parts + number.level * 64 + number.index;
  }
};

// As long as a day is for the machine under test, or no history would see the end of one.
inline constexpr Duration sim_day = std::chrono::seconds{200};

// Of every model, for input and output alike: 1,000 x 10^-9 US$ a token.
inline constexpr TokenPrice sim_price{1'000'000, 1'000'000};

struct Swarm {
  bool edge = false;        // quiet, and everything at the last or the first moment
  bool one_process = false; // `gristmill run`: coordinator and workers live and die together
  std::vector<JobPlan> jobs;
  Serving serving = Serving::own;
  bool own_urls = false;             // each job brings endpoints that no other job names
  std::vector<RateLimits> endpoints; // of the first model
  bool fallback = false;             // a second model with an endpoint of its own
  std::uint32_t workers = 0, concurrency = 0;
  std::uint64_t capacity_bytes = 0;
  // Of the workers: the rates of real ones are higher, so some look further ahead here.
  Duration ask_ahead = defaults::ask_ahead, outcomes_wait_most = defaults::outcomes_wait_most;
  std::int64_t coordinator_ppb = 0, worker_ppb = 0; // most that a worker's clock is off

  Duration network_mean{}, commit_mean{}, call_mean{}, channel_max{};
  bool steady_commit = false; // each commit takes just the mean
  bool steady_work = false;   // … and calls must never cease: no faults, no limit that is reached
  Duration send_delay{};      // until a call leaves its worker: a far endpoint's handshake
  Duration poll{};            // between two questions of a client; 0 = nobody asks
  Duration faulty_phase{};

  std::size_t read_max = limits::gateway_in_bytes_max; // that the gateway hands over ahead

  // Of a frame, a commit, or a call.
  double drop = 0, repeat = 0, tail = 0, slow_commit = 0, disk_full = 0, disk_broken = 0;
  double unavailable = 0; // its endpoint answers 503 or 502
  Duration late{};        // so long no endpoint is there, for the second half of that not ready
  double stuck = 0;       // it waits for a connection, perhaps for longer than its permit lives
  double server_error = 0, rate_refusal = 0, reset = 0, hang = 0, no_usage = 0, unauthorized = 0;
  // Per 100 ms, and worker where it is one's.
  double cut = 0, partition = 0, swizzle = 0, worker_crash = 0, silent_crash = 0, for_good = 0;
  double worker_drain = 0, pause = 0, coordinator_crash = 0, coordinator_pause = 0, reboot = 0;
  double wall_step = 0;
  double lie = 0; // of a heartbeat: the worker tells of another one's call instead
  // The first worker's calls neither leave nor end from then on, though it goes on to be heard:
  // nothing heals it but its end.
  double thread_hangs = 0;
  // Of a room's turn: it waits long for a thread; of a message to a job's room: it throws.
  double stall = 0, room_crash = 0;
  std::uint32_t inputs_max = 0; // of a call for embeddings, that its endpoint takes; 0 = any
  bool cache = false;           // of answers
  bool pages = false;           // endpoints tell how many calls wait, for whatever that is worth
  // Of a commit: a crash within it or just after. Of a call: its worker stops until the permit
  // ends.
  double crash_at_commit = 0, pause_at_edge = 0;

  static Swarm draw(Random& random);
  static Swarm soak(std::uint32_t hours, Random& random); // soak.cpp
  bool has_days() const;                                  // a limit of a day
  std::string text() const;                               // one line
};

} // namespace gristmill::sim
