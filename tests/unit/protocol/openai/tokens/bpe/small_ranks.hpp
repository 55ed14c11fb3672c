// Rank files small enough to be understood: all single bytes, in their order, and then some tokens.
#pragma once

#include <sodium.h>
#include <string>
#include <vector>

namespace gristmill::test {

inline std::string base64(const std::string& bytes) {
  std::string text(sodium_base64_ENCODED_LEN(bytes.size(), sodium_base64_VARIANT_ORIGINAL), '\0');
  sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()),
                    bytes.size(), sodium_base64_VARIANT_ORIGINAL);
  text.pop_back(); // the final NUL
  return text;
}

inline std::vector<std::string> with_single_bytes(const std::vector<std::string>& tokens) {
  std::vector<std::string> all;
  for (int byte = 0; byte < 256; ++byte) all.emplace_back(1, static_cast<char>(byte));
  all.insert(all.end(), tokens.begin(), tokens.end());
  return all;
}

// The first of `tokens` has rank 256.
inline std::string rank_file(const std::vector<std::string>& tokens) {
  std::string text;
  int rank = 0;
  for (const std::string& token : with_single_bytes(tokens))
    text += base64(token) + " " + std::to_string(rank++) + "\n";
  return text;
}

} // namespace gristmill::test
