// RANK FILE: the text of a .tiktoken file becomes a table of ranks.
//
//   file = *( [ BASE64 " " RANK [ CR ] ] LF ) ; the last LF may be missing
//
// BASE64 are the bytes of a token. RANK counts from 0, line by line, as in all such files that
// OpenAI and others give away; p50k_base alone leaves out 50,256, which it has for <|endoftext|>.
// Invariant: a file that was read has each rank and each token once, and all single bytes; what is
// allocated is a small multiple of the file.
#pragma once

#include "protocol/openai/tokens/bpe/rank_table.hpp"
#include "protocol/result.hpp"

#include <string_view>

namespace gristmill::bpe {

inline constexpr std::size_t p50k_ranks = 50'280;
inline constexpr Rank p50k_left_out = 50'256;

// bad_input: what was expected and what came, with the number of the line.
Result<RankTable> read_ranks(std::string_view text);

} // namespace gristmill::bpe
