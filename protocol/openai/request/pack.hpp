// PACK: requests for embeddings that agree in all but their inputs, as one request; and its answer,
// taken apart again. Invariant: what a part gets is the answer that has the part's index, once; a
// part whose index is missing or doubled gets none.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/openai/request/render.hpp"

#include <vector>

namespace gristmill::openai {

// The inputs stand in the order of the requests, of which there is at least one. Error: one is of
// another kind, or says more than its input that another does not say.
Result<Request> packed(const std::vector<Request>& requests);

// Of an ok reply to packed(), with the parts in the order of their requests: of each part an answer
// as if it had been asked for alone, but for the usage, which only the whole reply has.
std::vector<protocol::Answer> answers_of(const protocol::Reply& reply,
                                         const std::vector<PartId>& parts);

} // namespace gristmill::openai
