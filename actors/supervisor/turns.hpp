// TURNS: which part is offered next. Parts that are due go before unread ones. While a part goes
// alone, or some go in portions, nothing else is begun (suspects.hpp). After an endpoint's fault
// the parts that failed with it go one by one, as probes. Invariant: it changes no part; a part
// that was due at the last look and was not offered waits for an event, not for a time, so
// next_at() leaves it out.
#pragma once

#include "actors/supervisor/verdict/suspects.hpp"

#include <optional>

namespace gristmill::supervisor {

class Turns {
public:
  // `all_read`: no fresh items come; `cancelling`: nobody is compared with anybody any more.
  struct Situation {
    bool all_read = false, cancelling = false;
    Time now{};
    Streams room = all_streams; // for calls of these
  };
  void look(Time now) { looked_at_ = now; }
  Time looked_at() const { return looked_at_; }

  struct Turn {
    PartId part;
    bool alone = false; // nothing else of the job is out, nor may go beside it
  };
  // The next of those that wait.
  std::optional<Turn> next(const PartLedger& ledger, const Suspects& suspects,
                           Situation situation) const;
  // Fresh items must wait.
  bool others_stand(const PartLedger& ledger, const Suspects& suspects, Situation situation) const;
  // Nothing else is left than what failed since the last answer, and what was kept back: it goes
  // one by one, so that not all of it is out again when an endpoint is back; but further ones
  // follow one that takes its time.
  std::optional<PartId> next_probe(const PartLedger& ledger, Time now,
                                   Streams room = all_streams) const;
  void probed(Time now) { probed_at_ = now; }
  // When one of those that wait becomes due.
  Time next_at(const PartLedger& ledger) const;

private:
  Time looked_at_{Time::min()}; // when it was last seen what could be offered
  Time probed_at_{};            // when one that waits behind was offered last
};

} // namespace gristmill::supervisor
