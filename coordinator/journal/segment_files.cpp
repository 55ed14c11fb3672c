#include "coordinator/journal/segment_files.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t open_segments_max = 32; // a job of many restarts has many segments

} // namespace

std::string_view segment_prefix(LineKind kind) {
  return kind == LineKind::results ? "results-" : "parts-";
}

std::string segment_name(std::uint32_t number, LineKind kind) {
  return fmt::format("{}{:06}.jsonl", segment_prefix(kind), number);
}

std::string segment_path(const std::string& directory, std::uint32_t number, LineKind kind) {
  return directory + "/" + segment_name(number, kind);
}

Result<std::string> read_range(const std::string& path, std::uint64_t from, std::uint64_t to) {
  const auto file = open_file(path, O_RDONLY);
  GRISTMILL_TRY(file);
  std::string bytes(to - from, '\0');
  const auto got = read_at(*file, from, bytes, path);
  GRISTMILL_TRY(got);
  bytes.resize(*got);
  return bytes;
}

Result<const FileDescriptor*> SegmentFiles::file_of(std::size_t segment) {
  if (const auto found = open_.find(segment); found != open_.end()) return &found->second;
  if (open_.size() == open_segments_max) open_.clear();
  auto file = open_file(place_of(segment), O_RDONLY);
  GRISTMILL_TRY(file);
  return &open_.emplace(segment, std::move(*file)).first->second;
}

Result<> SegmentFiles::read(std::size_t segment, std::uint64_t offset, std::span<char> into) {
  const std::uint64_t bytes = segments_.at(segment).bytes;
  if (into.size() > bytes || offset > bytes - into.size())
    return fail(ErrorCode::internal,
                fmt::format("expected to read within the {} durable bytes of {}, got {} from {}",
                            bytes, place_of(segment), into.size(), offset));
  const auto file = file_of(segment);
  GRISTMILL_TRY(file);
  const std::string path = place_of(segment);
  const auto got = read_at(**file, offset, into, path);
  GRISTMILL_TRY(got);
  if (*got == into.size()) return {};
  return fail(ErrorCode::io,
              fmt::format("expected {} bytes in {}, got {}: the disk lost acknowledged data, or "
                          "somebody changed the file; restore it",
                          bytes, path, offset + *got));
}

} // namespace gristmill::coordinator
