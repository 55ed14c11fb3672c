// PROOF: checks what a worker says against what the coordinator knows, because an admitted worker
// may still be wrong or lie. An outcome counts only for a call and an attempt that its session was
// given, its numbers only within what that call can have used, its texts only as one line.
// Invariant: nothing of a frame reaches another room unchecked.
#pragma once

#include "actors/coordinator/assigned.hpp"
#include "protocol/node/messages.hpp"

#include <vector>

namespace gristmill::coordinator {

// A worker takes no more than a frame can list and a coordinator gives, whatever it says.
protocol::Capacity within_limits(protocol::Capacity capacity);

// Whether the outcome is one of this call as the session was given it.
bool is_outcome_of(const protocol::Outcome& outcome, const Assigned& assigned);

// Brings a proven outcome's numbers and texts within what can be. Its body is judged where it
// becomes a line (openai::judge_body). True: more tokens were reported than the call can have used.
bool bring_within_reason(protocol::Outcome& outcome, const Assigned& assigned, Time now);

// Its name, and what it says of itself.
void bring_within_reason(protocol::Hello& hello);

// Of a queue that the worker looked at.
void bring_within_reason(protocol::QueueReport& report);

// Adds a strike; true: it was one too many.
bool is_struck_out(std::vector<Time>& strikes, Time now);

} // namespace gristmill::coordinator
