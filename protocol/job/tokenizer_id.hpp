// TOKENIZER ID: which tokenizer counts the tokens of a job, wherever its file lies: the name of its
// encoding, and the SHA-256 of its rank file.
//
//   id = ENCODING "@" 64*HEX ; o200k_base@446a9538…
//
// Invariant: two jobs with the same id count the same in every text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

struct TokenizerId {
  std::string encoding, sha256;
  bool operator==(const TokenizerId&) const = default;
};

inline std::string to_string(const TokenizerId& id) {
  return id.encoding + "@" + id.sha256;
}

inline std::optional<TokenizerId> tokenizer_id_from(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  const auto at = text.find('@');
  if (at == text.npos || at == 0) return std::nullopt;
  const std::string_view hash = text.substr(at + 1);
  const bool is_hash = hash.size() == 64 && hash.find_first_not_of(digits) == hash.npos;
  if (!is_hash) return std::nullopt;
  return TokenizerId{std::string{text.substr(0, at)}, std::string{hash}};
}

} // namespace gristmill
