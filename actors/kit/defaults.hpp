// The machine's timing, in one place, with what follows from it. DESIGN's table of times; units in
// the types.
#pragma once

#include "actors/kit/time.hpp"

namespace gristmill::defaults {

using std::chrono::milliseconds;
using std::chrono::seconds;

// L: from the departure of the Need to the send. It doubles for an endpoint that is too far away
// for it: a handshake that outlasts it would never send a call.
inline constexpr Duration permit_life = milliseconds{250};
inline constexpr Duration permit_life_max = seconds{4};
inline constexpr int unused_permits_max = 3;                // in a row: the life doubles
inline constexpr int used_permits_min = 1'000;              // in a row: it halves again
inline constexpr Duration delay_margin = milliseconds{250}; // D: spread between send and arrival
inline constexpr Duration minute_window = seconds{60};      // W
inline constexpr Duration day_window = std::chrono::hours{24};
inline constexpr double clock_error = 1e-3; // rho: relative rate error of two clocks

// How long a permit counts in a window, from its issue: it may be used for L on a clock that is
// slow by rho, arrive D later, and count W at the provider.
constexpr Duration hold_of(Duration window, Duration life = permit_life) {
  const double s =
      (to_seconds(life) / (1 - clock_error) + to_seconds(window) + to_seconds(delay_margin)) *
      (1 + clock_error);
  return from_seconds(s);
}
// Windows count in so many buckets, and a restart finds the day's where they were.
inline constexpr int window_buckets = 1'000;
constexpr Duration bucket_of(Duration hold) {
  return hold / window_buckets;
}

// Seconds of its rate that a smoother may let through at once: a second's burst at the server, less
// what L and D may add.
inline constexpr double burst_seconds = 1.0 - to_seconds(permit_life) - to_seconds(delay_margin);

// A budget block may be drawn from for its life and a lead: a margin, and twice the time that
// commits take of late. The next one is asked for when no more than the lead is left.
inline constexpr Duration block_life = seconds{1};
// Where no window counts a block is rare, and so is the measure of commits; time costs nothing
// there.
inline constexpr Duration block_life_unlimited = seconds{10}, block_spare_unlimited = seconds{5};
inline constexpr Duration block_margin = milliseconds{300};
constexpr Duration block_lead(Duration commit_time) {
  return block_margin + 2 * commit_time;
}
inline constexpr Duration commit_time_max = seconds{30};  // slower disks do stop the work
inline constexpr Duration commit_time_half = seconds{30}; // after so long half of it is forgotten
inline constexpr std::uint64_t block_calls_unlimited = 100'000; // a second
inline constexpr std::uint64_t mark_ahead = 1'024;              // items above the highest one seen

// How long after its end a block counts in a window of a minute: how long its permits lived is not
// known any more.
inline constexpr Duration block_hold = hold_of(minute_window, permit_life_max);
// … and so long the journal remembers it.
inline constexpr Duration block_memory = block_hold + seconds{5};

inline constexpr Duration heartbeat = seconds{2};
// What no call waits for leaves with the next frame to its worker, or alone after so long.
inline constexpr Duration aside_most = milliseconds{50};
inline constexpr Duration closed_lost = seconds{5}; // connection closed and no Hello
inline constexpr Duration silent_suspect = seconds{10};
inline constexpr Duration silent_lost = seconds{40};
// A call is given up when its timeouts are over and so long after: a worker that nobody would give
// up for its silence may still tell how it ended.
inline constexpr Duration call_margin = silent_lost;
// A worker that has room, and asks for none of the calls that it holds, loses them; and is given
// none for as long.
inline constexpr Duration held_idle = seconds{30};
// An endpoint that a worker announced and that rests for as long has its calls made elsewhere.
inline constexpr Duration shared_elsewhere_least = seconds{2};
// A worker that dies sooner than that was ended by whoever starts and ends processes here, not by a
// call of its own.
inline constexpr Duration death_counts_after = seconds{3};
inline constexpr Duration strike_window = seconds{60}; // three strikes within it end a session,
inline constexpr int strikes_max = 3;                  // and its process is not heard for as long
inline constexpr Duration retry_after_max = seconds{600}; // that a server may ask for
inline constexpr Duration restart_grace = seconds{5}; // for sessions that the journal shows open
inline constexpr Duration need_repeat =
    milliseconds{500}; // a Need without an answer is asked again
inline constexpr Duration drain_timeout = seconds{25};

// So long before a slot comes free a worker asks for the permit of the next call there, where
// places are plenty. Where they are not it asks for none ahead for a while.
inline constexpr Duration ask_ahead = milliseconds{20};
static_assert(ask_ahead <= permit_life / 4);
inline constexpr Duration not_ahead_for = permit_life;
// As long as it has permits for the slots that come free, its outcomes gather to one frame.
inline constexpr Duration outcomes_wait_most = milliseconds{10};

} // namespace gristmill::defaults
