#include "coordinator/journal/mark.hpp"

#include "coordinator/disk/file_io.hpp"
#include "coordinator/disk/sqlite_head.hpp"
#include "coordinator/journal/segment_files.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

// As https://www.sqlite.org/fileformat.html has them.
constexpr std::size_t log_header = 32, frame_header = 24;

bool is_there(const std::string& path) {
  struct stat about {};
  return ::lstat(path.c_str(), &about) == 0;
}

Result<std::string> bytes_at(const FileDescriptor& file, std::uint64_t offset, std::size_t size,
                             const std::string& path) {
  std::string bytes(size, '\0');
  const auto got = read_at(file, offset, bytes, path);
  GRISTMILL_TRY(got);
  bytes.resize(*got);
  return bytes;
}

bool is_ours(std::string_view page) {
  return page.size() >= sqlite_head::bytes && page.starts_with(sqlite_head::magic) &&
         sqlite_head::number_at(page, sqlite_head::application_at) == journal_application_id;
}

// The first page of a journal that was never written back is in its log alone.
Result<bool> log_has_our_page(const std::string& path) {
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  GRISTMILL_TRY(file);
  const auto header = bytes_at(*file, 0, log_header, path);
  GRISTMILL_TRY(header);
  if (header->size() < log_header || (sqlite_head::number_at(*header, 0) & ~1u) != 0x377f0682)
    return false;
  const std::uint32_t page_bytes = sqlite_head::number_at(*header, 8);
  for (std::uint64_t at = log_header;; at += frame_header + page_bytes) {
    const auto frame = bytes_at(*file, at, frame_header + sqlite_head::bytes, path);
    GRISTMILL_TRY(frame);
    if (frame->size() < frame_header + sqlite_head::bytes) return false;
    if (sqlite_head::number_at(*frame, 0) == 1)
      return is_ours(std::string_view{*frame}.substr(frame_header));
  }
}

bool is_segment_name(std::string_view name, LineKind kind) {
  const std::string_view prefix = segment_prefix(kind);
  if (!name.starts_with(prefix)) return false;
  const std::string_view digits = name.substr(prefix.size());
  std::uint32_t number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return name == segment_name(number, kind);
}

// Piece by piece; what the last one ended with is looked at again with the next.
Result<bool> holds(const std::string& path, std::string_view looked_for) {
  constexpr std::size_t piece_bytes = 1u << 20;
  const auto file = open_file(path, O_RDONLY);
  GRISTMILL_TRY(file);
  std::string bytes(piece_bytes + looked_for.size(), '\0');
  for (std::uint64_t offset = 0;; offset += piece_bytes) {
    const auto got = read_at(*file, offset, bytes, path);
    GRISTMILL_TRY(got);
    if (std::string_view{bytes}.substr(0, *got).find(looked_for) != std::string_view::npos)
      return true;
    if (*got < bytes.size()) return false;
  }
}

} // namespace

Result<bool> is_journal(const std::string& path) {
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  GRISTMILL_TRY(file);
  const auto head = bytes_at(*file, 0, sqlite_head::bytes, path);
  GRISTMILL_TRY(head);
  if (is_ours(*head)) return true;
  const bool marked = head->size() == sqlite_head::bytes &&
                      sqlite_head::number_at(*head, sqlite_head::application_at) != 0;
  if (!head->empty() && (marked || !head->starts_with(sqlite_head::magic))) return false;
  const std::string log = path + "-wal";
  struct stat about {};
  if (::lstat(log.c_str(), &about) != 0 || about.st_size == 0) {
    // Of one page without a mark nothing was ever kept but the page.
    return head->empty() || sqlite_head::number_at(*head, sqlite_head::pages_at) <= 1;
  }
  return log_has_our_page(log);
}

Result<bool> is_lock(const std::string& path) {
  if (!is_there(path)) return true;
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  GRISTMILL_TRY(file);
  const auto text = bytes_at(*file, 0, 32, path);
  GRISTMILL_TRY(text);
  return text->size() < 32 &&
         std::ranges::all_of(*text, [](char c) { return (c >= '0' && c <= '9') || c == '\n'; });
}

bool is_segment_name(std::string_view name) {
  return is_segment_name(name, LineKind::results) || is_segment_name(name, LineKind::parts);
}

Result<bool> segments_hold(const std::string& directory, std::string_view bytes) {
  std::error_code error;
  for (fs::directory_iterator entry{directory, error}, end; !error && entry != end;
       entry.increment(error)) {
    if (!is_segment_name(entry->path().filename().string())) continue;
    const auto found = holds(entry->path().string(), bytes);
    if (!found || *found) return found;
  }
  if (error) return fail(ErrorCode::io, fmt::format("reading {}: {}", directory, error.message()));
  return false;
}

} // namespace gristmill::coordinator
