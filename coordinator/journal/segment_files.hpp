// SEGMENT FILES: what the files that hold a job's lines are called, and how they are read:
//
//   STATE/<directory of the job>/results-000001.jsonl   append-only lines, in completion order
//   STATE/<directory of the job>/parts-000001.jsonl     the same of parts, if items have several
//
// Invariant: of a segment nothing is given out but the bytes that the journal knows, and if there
// are fewer the error says so.
#pragma once

#include "actors/journal/line_store.hpp"
#include "coordinator/disk/file_io.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

// Where the lines of one group and job lie.
struct SegmentRange {
  std::uint32_t segment = 0; // 0 = no lines
  std::uint64_t from = 0, to = 0;
};

using journal::LineKind;

std::string_view segment_prefix(LineKind kind); // of its name
std::string segment_name(std::uint32_t number, LineKind kind = LineKind::results);
// The segment in the directory of its job.
std::string segment_path(const std::string& directory, std::uint32_t number,
                         LineKind kind = LineKind::results);

// The bytes [from, to) of a segment; shorter when the file is.
Result<std::string> read_range(const std::string& path, std::uint64_t from, std::uint64_t to);

class SegmentFiles final : public journal::JobLines {
public:
  SegmentFiles(std::string directory, std::vector<journal::Segment> segments,
               LineKind kind = LineKind::results)
      : directory_{std::move(directory)}, segments_{std::move(segments)}, kind_{kind} {}

  const std::vector<journal::Segment>& segments() const override { return segments_; }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override;
  std::string place_of(std::size_t segment) const override {
    return segment_path(directory_, segments_.at(segment).number, kind_);
  }

private:
  Result<const FileDescriptor*> file_of(std::size_t segment);

  std::string directory_;
  std::vector<journal::Segment> segments_;
  LineKind kind_;
  std::map<std::size_t, FileDescriptor> open_; // by index
};

} // namespace gristmill::coordinator
