#include "protocol/openai/reply/embedding.hpp"

#include <bit>
#include <cstddef>
#include <cstdint>
#include <sodium.h>

namespace gristmill::openai {
namespace {

float float_at(const unsigned char* bytes) {
  std::uint32_t bits = 0;
  for (int i = 3; i >= 0; --i) bits = bits << 8 | bytes[i];
  return std::bit_cast<float>(bits);
}

} // namespace

bool append_base64_floats(std::string_view text, std::vector<float>& into) {
  // Some servers leave the padding out.
  while (text.ends_with('=')) text.remove_suffix(1);
  std::vector<unsigned char> bytes(text.size() / 4 * 3 + 3);
  std::size_t size = 0;
  if (text.empty() ||
      sodium_base642bin(bytes.data(), bytes.size(), text.data(), text.size(), nullptr, &size,
                        nullptr, sodium_base64_VARIANT_ORIGINAL_NO_PADDING) != 0 ||
      size % sizeof(float) != 0)
    return false;
  for (std::size_t at = 0; at < size; at += sizeof(float)) into.push_back(float_at(&bytes[at]));
  return true;
}

} // namespace gristmill::openai
