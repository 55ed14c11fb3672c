// CALL ORDER: whether calls that begin beside each other stand in a queue, before anybody knows how
// long a call takes. A queue is first come, first served: of calls that begin one after the other
// those that began later take longer. Where there is none, when a call began says nothing of how
// long it takes, however much latencies spread. E. Gehan's scores (1965) of the calls, which know
// of one that has not ended that it takes longer than it has taken so far, are correlated with
// their order. Invariant: latencies that hardly differ count as equal, so a burst that is answered
// in the order in which it was sent is no queue.
#pragma once

#include <cstdint>
#include <vector>

namespace gristmill::rate_limiter {

struct OrderedCall {
  double ln_seconds = 0; // that it took, or has taken so far
  bool ended = false;
};

// By how many standard errors later ones take longer than by chance. The calls in the order in
// which they began.
double longer_by_order(const std::vector<OrderedCall>& calls);

// How many of them were answered at a time, if they stood in a queue.
double slots_by_order(const std::vector<OrderedCall>& calls);

} // namespace gristmill::rate_limiter
