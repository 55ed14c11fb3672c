// SPLITTER: cuts a text into the pieces that a tokenizer encodes one by one: words, digits, marks
// and space, as the pattern of an encoding says. Invariant: the pieces, one behind the other, are
// the text, whatever it is.
#pragma once

#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace gristmill::bpe {

// Of one match. The patterns of encodings.hpp go at most some times over what they match, of which
// there are less than 4 GiB, and without depth.
struct SplitLimits {
  std::uint32_t steps = 4'000'000'000, heap_kib = 32u << 10;
};

class Splitter {
public:
  static Result<Splitter> compile(std::string_view pattern, SplitLimits limits = {});

private:
  friend class PieceReader;
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

// The pieces of one text, from its beginning. Any number of threads may split at a time, each with
// a reader of its own.
class PieceReader {
public:
  // `text` is UTF-8, and outlives it.
  PieceReader(const Splitter& splitter, std::string_view text);
  PieceReader(PieceReader&&) noexcept;
  ~PieceReader();

  // Empty behind the last one. Beyond a limit, and where the pattern matches nothing, the rest of
  // the text is one piece.
  std::string_view next();

private:
  struct Match;
  std::shared_ptr<const Splitter::Compiled> compiled_;
  std::unique_ptr<Match> match_;
  std::string_view text_;
  std::size_t at_ = 0;
};

} // namespace gristmill::bpe
