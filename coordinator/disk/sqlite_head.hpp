// SQLITE HEAD: what the head of a database file says, as https://www.sqlite.org/fileformat.html has
// it, for whoever must know whose file it is before SQLite opens it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gristmill::coordinator::sqlite_head {

inline constexpr std::string_view magic{"SQLite format 3\0", 16};
inline constexpr std::size_t bytes = 100, format_at = 18, pages_at = 28, version_at = 60,
                             application_at = 68;

inline std::uint32_t number_at(std::string_view head, std::size_t at) {
  std::uint32_t number = 0;
  for (std::size_t n = 0; n < 4; ++n)
    number = number << 8 | static_cast<unsigned char>(head[at + n]);
  return number;
}

} // namespace gristmill::coordinator::sqlite_head
