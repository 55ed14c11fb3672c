// ENCODINGS: the vocabularies of OpenAI by their names and numbers of ranks, and how each splits a
// text into pieces before they are encoded. The patterns are tiktoken's own (0.14). What they call
// space, letters, marks and numbers is spelled as Rust's regex 1.13 knows it, that is Unicode 16:
// PCRE2 calls U+180E a space, and that of Debian 12 knows Unicode 14 alone.
// Invariant: each pattern matches at any place of any text, and at least one character.
#pragma once

#include "protocol/result.hpp"

#include <cstddef>
#include <string>
#include <string_view>

namespace gristmill::bpe {

struct Encoding {
  std::string name;
  std::string pattern; // as PCRE2 takes it
};

// `name` is cl100k_base, o200k_base, o200k_harmony, p50k_base, p50k_edit, r50k_base or gpt2, and
// the ranks are as many as it has; or it is like-NAME, for any number of ranks that are not
// OpenAI's but whose texts are split that way; or it is empty, and the number says which it is.
Result<Encoding> encoding_of(std::string_view name, std::size_t ranks);

} // namespace gristmill::bpe
