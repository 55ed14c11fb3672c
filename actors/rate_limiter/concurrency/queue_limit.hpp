// QUEUE LIMIT: how many calls an endpoint should have in flight by its server's own word: so many
// wait, so many run. A queue that stays is taken away but for a small rest, which keeps the server
// busy while answers and the next calls travel; where nobody waits, the limit grows: before anybody
// has ever waited with each report, to a quarter more than runs.
//
// What waits and runs may be other clients' calls. So the limit never falls below what the server
// runs, and what waits is no reason to go lower. A report is worth nothing when most of our calls
// are in neither number (they are on their way, before another queue, or the page is another
// server's), or when it is old. Invariant: no report makes the limit less than 1, or more than half
// as large again.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/node/messages.hpp"

#include <cstdint>
#include <optional>

namespace gristmill::rate_limiter {

class QueueLimit {
public:
  static constexpr Duration fresh_for = std::chrono::seconds{3};
  // A queue that was there as long ago stays; several workers may tell of the same moment.
  static constexpr Duration stays_after = std::chrono::milliseconds{800};

  struct Ours {
    std::uint32_t in_flight = 0, limit = 0;
    bool binds = false; // the limit has kept a call from beginning
  };
  // What the limit should be from now on.
  double told(const protocol::QueueReport& report, const Ours& ours, Time now);

  // Whether a report that is worth something is fresh.
  bool decides(Time now) const { return decides_until_ && now < *decides_until_; }
  // The last report, whatever it is worth.
  std::optional<protocol::QueueReport> fresh(Time now) const;

private:
  static constexpr double step_least = 1.0 / 16, step_most = 1.0 / 2;

  double lower(double most, const Ours& ours, Time now);
  double raise(const protocol::QueueReport& report, const Ours& ours, Time now);

  std::optional<protocol::QueueReport> last_;
  Time last_at_{};
  std::optional<Time> decides_until_;
  std::optional<Time> waiting_since_; // all reports from then on told of a queue
  double enough_ = 0;                 // the highest limit that one of them called enough
  std::optional<Time> raised_at_;
  double step_ = step_least;
  bool has_waited_ = false; // somebody, since the server was first heard
};

} // namespace gristmill::rate_limiter
