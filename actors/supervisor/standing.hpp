// STANDING: how a job stands, for people: where one item is, about how many items are left, and why
// no call is offered. Only open items are in memory and can be found by id; for any other id the
// honest answer may be that it is not known.
#pragma once

#include "actors/supervisor/item_question.hpp"
#include "actors/supervisor/parts/part_ledger.hpp"
#include "actors/supervisor/reader.hpp"
#include "actors/supervisor/verdict/outage.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/state.hpp"

namespace gristmill::supervisor {

ItemStanding standing_of(const ItemQuestion& question, const PartLedger& ledger, Reader& reader,
                         Time now);

// Why no call is offered though there may be room and the job goes on; none = that is not so.
WaitReason why_no_call(const PartLedger& ledger, const Reader& reader, const Outage& outage,
                       std::uint64_t undurable_lines, Time now);

// While not all is read, the rest is taken to be like what was read, by the bytes of the inputs. Of
// packed ones and of lists of many that says too little, but more with every item.
double items_left(const JobSpec& spec, const JobCounts& counts, const InputPosition& read);

} // namespace gristmill::supervisor
