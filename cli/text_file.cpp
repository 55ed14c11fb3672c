#include "cli/text_file.hpp"

#include "actors/intake/input_format.hpp"
#include "coordinator/disk/file_io.hpp"

#include <fmt/format.h>

namespace gristmill::cli {
namespace {

constexpr std::size_t text_bytes_max = 64u << 20;

Result<std::string> as_utf8(const std::string& option, const std::string& path,
                            std::string_view text) {
  if (const auto why = intake::why_other_encoding(text); !why.empty())
    return fail(ErrorCode::usage, fmt::format("{} {}: {}", option, path, why));
  return std::string{intake::without_mark(text)};
}

} // namespace

Result<std::string> text_of_file(const std::string& option, const std::string& path) {
  const auto unreadable = [&](const std::string& why) {
    return fail(ErrorCode::usage,
                fmt::format("{}: expected a file that can be read, {}", option, why));
  };
  const auto file = coordinator::open_file(path, O_RDONLY);
  if (!file) return unreadable(file.error().message);
  std::string text, piece(64 * 1024, '\0');
  for (;;) {
    const auto got = coordinator::read_some(file->get(), piece, path);
    if (!got) return unreadable(got.error().message);
    if (*got == 0) return as_utf8(option, path, text);
    text.append(piece, 0, *got);
    if (text.size() > text_bytes_max)
      return unreadable(fmt::format("{} holds more than {} MiB", path, text_bytes_max >> 20));
  }
}

} // namespace gristmill::cli
