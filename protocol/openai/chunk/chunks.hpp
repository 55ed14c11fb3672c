// CHUNKS: where a long text is divided, so that each piece can be asked of a model by itself. A
// chunk is filled as far as it goes, and then ends at the best place in the second half of what is
// new in it: before a heading, else behind a paragraph, a line, a sentence, a word; a word that is
// longer than a chunk is divided between two characters (seams.hpp). Tokens are those of a
// tokenizer, if there is one, of which no chunk and no overlap has more than it may; else those of
// the estimate (tokens/estimate.hpp, the likely ones). Invariant: the chunks cover the text from
// its first byte to its last, each begins where the one before it ends or, with an overlap, before
// that, and none begins or ends within a UTF-8 sequence. The same text gives the same chunks in
// every life of a job, on every machine: no locale, no table of a library, no clock decides.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace gristmill::bpe {
class Tokenizer;
} // namespace gristmill::bpe

namespace gristmill::openai {

// What stood between the chunk and the next one, which an answer to it may have lost.
enum class Gap : std::uint8_t { none, space, line, paragraph };
std::string_view text_of(Gap gap); // "", " ", "\n", "\n\n"
// Of the space at a text's end: with two line ends or more it is a paragraph, with one a line.
Gap gap_at_end(std::string_view text);

struct Chunk {
  std::uint32_t begin = 0, end = 0; // bytes of the text, the overlap with the one before included
  Gap gap = Gap::none;              // at its end
  bool operator==(const Chunk&) const = default;
};
using Chunks = std::vector<Chunk>;

struct ChunkSize {
  std::uint32_t tokens = 0;  // at most, of a chunk; limits::chunk_tokens_min or more
  std::uint32_t overlap = 0; // … of them with the chunk before; fewer than half of `tokens`
};

// At least one; an empty text is one empty chunk. Of up to limits::line_bytes_max bytes, in time
// that grows with them alone. `tokenizer`: nullptr = tokens are estimated.
Chunks chunks_of(std::string_view text, ChunkSize size, const bpe::Tokenizer* tokenizer = nullptr);

} // namespace gristmill::openai
