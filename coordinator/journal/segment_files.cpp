#include "coordinator/journal/segment_files.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace gristmill::coordinator {
namespace {

constexpr std::uint64_t mark_bytes = 64u << 10;
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

// A mark where the lines begin not to stand as they are, and then one now and again.
void StoredSegment::grow(std::uint64_t to, std::uint64_t whole) {
  const bool is_plain = whole == to - bytes;
  const std::uint64_t last = marks.empty() ? 0 : marks.back().in_file;
  if (marks.empty() ? !is_plain : bytes - last >= mark_bytes) marks.push_back({bytes, whole_bytes});
  bytes = to;
  whole_bytes += whole;
}

SegmentFiles::SegmentFiles(std::string directory, std::vector<StoredSegment> segments,
                           LineKind kind, std::shared_ptr<SharedAnswers> bodies)
    : directory_{std::move(directory)}, stored_{std::move(segments)}, kind_{kind},
      bodies_{std::move(bodies)} {
  for (const StoredSegment& stored : stored_)
    segments_.push_back({stored.number, stored.marks.empty() ? stored.bytes : stored.whole_bytes});
}

// Up to the first mark the file has the lines as they are.
Result<> SegmentFiles::read(std::size_t segment, std::uint64_t offset, std::span<char> into) {
  const StoredSegment& stored = stored_.at(segment);
  if (stored.marks.empty()) return read_file(segment, offset, into);
  const std::uint64_t bytes = stored.whole_bytes;
  if (into.size() > bytes || offset > bytes - into.size())
    return fail(ErrorCode::internal,
                fmt::format("expected to read within the {} bytes of the lines of {}, got {} from "
                            "{}",
                            bytes, place_of(segment), into.size(), offset));
  if (!whole_ || whole_of_ != segment) {
    whole_of_ = segment;
    whole_ = std::make_unique<WholeLines>(
        [this, segment](std::uint64_t at, std::span<char> bytes_of_file) {
          return read_file(segment, at, bytes_of_file);
        },
        bodies_);
  }
  const auto mark = std::ranges::upper_bound(stored.marks, offset, {}, &LineMark::in_whole);
  const LineMark from = mark == stored.marks.begin() ? LineMark{} : *std::prev(mark);
  return whole_->read(from, stored.bytes, offset, into);
}

Result<> SegmentFiles::read_file(std::size_t segment, std::uint64_t offset, std::span<char> into) {
  const std::uint64_t bytes = stored_.at(segment).bytes;
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
