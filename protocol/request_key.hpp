// REQUEST KEY: by which two requests that ask the same thing are known
// (openai/request/canonical.hpp says which do).
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string_view>

namespace gristmill {

struct RequestKey {
  std::array<char, 16> bytes{}; // all zero = none
  auto operator<=>(const RequestKey&) const = default;
  explicit operator bool() const { return *this != RequestKey{}; }
  std::string_view view() const { return {bytes.data(), bytes.size()}; }
};

} // namespace gristmill

template <> struct std::hash<gristmill::RequestKey> {
  std::size_t operator()(const gristmill::RequestKey& key) const noexcept {
    std::uint64_t first = 0; // of a hash already
    std::memcpy(&first, key.bytes.data(), sizeof first);
    return first;
  }
};
