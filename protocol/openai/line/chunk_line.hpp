// CHUNK LINE: what the lines of an item's parts say of the chunks of its text that they answer. It
// is read from the lines alone, so that who joins or checks them needs neither the text nor what
// divided it. Invariant: chunks that tile have no byte of the text between them.
#pragma once

#include "protocol/openai/line/part_text.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

struct ChunkSaid {
  std::uint64_t number = 0, of = 0; // from 1
  std::uint64_t from = 0, to = 0;   // bytes of the text
  std::string gap;                  // what stood at its end

  std::uint64_t bytes() const { return to > from ? to - from : 0; }
};
std::optional<ChunkSaid> chunk_in(std::string_view line); // nothing: the part is none

// The parts of each model, and those of the judge.
std::vector<PartTexts> by_model(PartTexts parts);

// Of one model's parts those of the lowest level, and those of the highest.
PartTexts chunks_among(PartTexts parts);
PartTexts top_of(PartTexts parts);

// The texts of the answers, one behind the other. Between two of them that no white space divides
// stands what stood between their chunks. An answer without text adds nothing; of what stood before
// and behind its chunk the longer counts. `texts` are those of the parts.
std::string in_order(PartTexts parts, const std::vector<std::string>& texts);

// Of one model's parts, what each chunk that has ended answered, in their order:
//   [{"chunk":N,"response":{…}|null,"error":{"code":…,"message":…}|null},…]
// Empty = no part is a chunk.
std::string chunks_json(PartTexts parts);

// Whether one model's parts are all that its answer needs: no chunk is missing or doubled, each
// begins where the one before ends or before that, and of steps one is left. Parts that are no
// chunks say nothing of that.
Result<> check_tiling(PartTexts parts);

} // namespace gristmill::openai
