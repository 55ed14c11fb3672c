// REPAIR: a chat that is asked once more, with the answer that did not fit and why. Invariant: what
// was asked before stands before it, unchanged.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/openai/request/render.hpp"

namespace gristmill::openai {

// Adds the answer as the assistant's, if there is one, and the fault as the user's next message.
// Error: the request has no messages.
Result<> ask_for_repair(Request& request, const protocol::Repair& repair);

// Of an answer that did not fit, as its reply has it: what it said, if that is not too long.
protocol::Repair repair_of(const protocol::Reply& reply);

} // namespace gristmill::openai
