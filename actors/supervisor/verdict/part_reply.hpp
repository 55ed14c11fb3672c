// PART REPLY: what the outcome of a call says to each of its parts. An answer counts as one only if
// its body is whole and, where labels were asked for, names one of them. Invariant: a part gets the
// answer that names it, or none.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/node/messages.hpp"

namespace gristmill::supervisor {

// As it comes from a worker: what does not count as an answer becomes a failure. Of several answers
// each is judged with its part.
void judge_outcome(protocol::Outcome& outcome, const JobSpec& spec);
// What came for one of several parts of a call.
protocol::Reply reply_to(const PartId& part, const protocol::Outcome& outcome, const JobSpec& spec);
bool is_answered(const PartId& part, const protocol::Outcome& outcome, const JobSpec& spec);

} // namespace gristmill::supervisor
