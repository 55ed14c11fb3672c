// SPLITTER: cuts a text into the pieces that a tokenizer encodes one by one: words, digits, marks
// and space, as the pattern of an encoding says. Invariant: the pieces, one behind the other, are
// the text, whatever it is.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
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

  // `text` is UTF-8. Beyond a limit, and where the pattern matches nothing, the rest of the text is
  // one piece. Any number of threads may split at a time.
  void split(std::string_view text, const std::function<void(std::string_view)>& take) const;

private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

} // namespace gristmill::bpe
