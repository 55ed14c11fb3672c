#include "cli/run/known_result.hpp"

#include "coordinator/disk/file_io.hpp"
#include "coordinator/journal/segment_writer.hpp"
#include "coordinator/result/product_files.hpp"

#include <filesystem>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

// Piece by piece; what the last one ended with is looked at again with the next.
Result<bool> holds(const std::string& path, std::string_view line) {
  constexpr std::size_t piece_bytes = 1u << 20;
  const auto file = coordinator::open_file(path, O_RDONLY);
  if (!file) return tl::unexpected{file.error()};
  std::string bytes(piece_bytes + line.size(), '\0');
  for (std::uint64_t offset = 0;; offset += piece_bytes) {
    const auto got = coordinator::read_at(*file, offset, bytes, path);
    if (!got) return tl::unexpected{got.error()};
    if (std::string_view{bytes}.substr(0, *got).find(line) != std::string_view::npos) return true;
    if (*got < bytes.size()) return false;
  }
}

} // namespace

Result<bool> is_result_of(const std::string& output, const std::string& state) {
  const auto file = coordinator::open_file(output, O_RDONLY | O_NONBLOCK);
  if (!file) return tl::unexpected{file.error()};
  const std::string head = coordinator::head_of(*file, output);
  if (head.empty()) return true;
  if (!coordinator::begins_as_result(head)) return false;
  const std::string_view line = std::string_view{head}.substr(0, head.find('\n'));
  std::error_code error;
  for (fs::directory_iterator entry{state, error}, end; !error && entry != end;
       entry.increment(error)) {
    if (!coordinator::is_segment_name(entry->path().filename().string())) continue;
    const auto found = holds(entry->path().string(), line);
    if (!found || *found) return found;
  }
  if (error) return fail(ErrorCode::io, fmt::format("reading {}: {}", state, error.message()));
  return false;
}

} // namespace gristmill::cli
