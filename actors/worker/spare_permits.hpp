// SPARE PERMITS: those that a worker asked for ahead. Their calls begin as soon as slots come free,
// without another question. It has no more of them than slots will come free soon, at the rate at
// which its calls end; and of what it cannot use in half of a permit's life it asks for none for a
// while. Invariant: a spare permit is used at most once, and never when it has to go back.
#pragma once

#include "actors/kit/defaults.hpp"
#include "protocol/node/messages.hpp"

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

namespace gristmill::worker {

class SparePermits {
public:
  // One that does not age is kept no longer than the shortest-lived one that does.
  static constexpr Duration kept_most = defaults::permit_life;
  static constexpr Duration rests_for = std::chrono::seconds{10};
  static constexpr Duration rate_over = std::chrono::seconds{1};

  struct Spare {
    protocol::Permit permit;
    Time not_after; // the end of its life
    Time until;     // then it goes back
  };

  // `ahead`: so long before a slot comes free the permit for it is asked for.
  explicit SparePermits(Duration ahead) : ahead_{ahead} {}

  // ---- how many -------------------------------------------------------------------------------
  void ended(std::size_t calls, Time now); // so many slots came free
  void told_to_wait(Time until);           // until then there is none to spare
  // So many will find a slot soon.
  std::size_t most(Time now) const;

  // ---- which ----------------------------------------------------------------------------------
  // Of a Need that left then. False: it has to go back already.
  bool add(const protocol::Permit& permit, Time asked_at, Time now);
  std::optional<Spare> next(); // in the order in which they came
  std::optional<AttemptId> take(CallId call);
  std::vector<protocol::Permit> take_unused(Time now); // that have to go back
  std::vector<protocol::Permit> take_all();
  bool empty() const { return spares_.empty(); }
  std::size_t size() const { return spares_.size(); }
  Time next_due() const; // that one has to go back

private:
  Duration ahead_;
  double ended_ = 0; // calls, of which a second later a third still counts
  Time ended_at_{Time::min()};
  Time none_until_{Time::min()};
  std::deque<Spare> spares_;
};

} // namespace gristmill::worker
