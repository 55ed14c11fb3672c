// PACK: requests for embeddings that agree in all but their inputs, as one request; and its answer,
// taken apart again. Invariant: what a part gets is the answer that has the part's index, once; a
// part whose index is missing or doubled gets none.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/openai/request/render.hpp"

#include <cstdint>
#include <vector>

namespace gristmill::openai {

// A name for what an item's request says beside its one input: those that share it may be asked for
// in one call. 0 = it goes by itself.
std::uint64_t pack_key(const JobSpec& spec, ItemKind kind, std::string_view raw);

// The inputs stand in the order of the requests, of which there is at least one. Error: one is of
// another kind, or says more than its input that another does not say.
Result<Request> packed(const std::vector<Request>& requests);

// The one input of a request that pack_key() names.
std::string input_text(const Request& request);

// How many bytes each of its inputs has.
std::vector<std::uint64_t> input_lengths(const Request& packed);

// Of an ok reply to packed(), with the parts in the order of their requests, and the lengths of
// their inputs: of each part an answer as if it had been asked for alone. Its usage is its part of
// the whole's, by length; together they are the whole's.
std::vector<protocol::Answer> answers_of(const protocol::Reply& reply,
                                         const std::vector<PartId>& parts,
                                         const std::vector<std::uint64_t>& lengths);

} // namespace gristmill::openai
