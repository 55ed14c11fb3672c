#include "prefix_cache.hpp"

#include <charconv>
#include <stdexcept>
#include <string>

namespace gristmill::simllm {

PrefixCacheLaw PrefixCacheLaw::parse(std::string_view text) {
  PrefixCacheLaw law;
  const char* at = text.data();
  const char* const end = at + text.size();
  const auto read = [&](auto& value, bool last) {
    const auto [stop, error] = std::from_chars(at, end, value);
    const bool good = error == std::errc{} && (last ? stop == end : stop != end && *stop == ':');
    at = good && !last ? stop + 1 : stop;
    return good;
  };
  if (text.empty()) return law;
  if (!read(law.prefixes, false) || !read(law.bytes, false) || !read(law.factor, true) ||
      law.prefixes == 0 || law.bytes == 0 || !(law.factor >= 1))
    throw std::invalid_argument("prefix cache '" + std::string(text) +
                                "' is not PREFIXES:BYTES:FACTOR, such as 4:1024:5");
  return law;
}

} // namespace gristmill::simllm
