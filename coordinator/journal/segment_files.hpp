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
#include "coordinator/journal/whole_lines.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

// Where the lines of one group and job lie in their file.
struct SegmentRange {
  std::uint32_t segment = 0; // 0 = no lines
  std::uint64_t from = 0, to = 0;
};

// A line begins here in the file of a segment, and there among its whole lines.
struct LineMark {
  std::uint64_t in_file = 0, in_whole = 0;
};

// A segment as it lies on the disk. Bodies of its lines may stand in a shared directory: then it
// has more bytes, or fewer, than its file.
struct StoredSegment {
  std::uint32_t number = 0;
  std::uint64_t bytes = 0;       // of the file, durable ones
  std::uint64_t whole_bytes = 0; // of its lines with their bodies
  std::vector<LineMark> marks{}; // rising; none = the file has the lines as they are
  void grow(std::uint64_t to, std::uint64_t whole);
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
  SegmentFiles(std::string directory, std::vector<StoredSegment> segments,
               LineKind kind = LineKind::results, std::shared_ptr<SharedAnswers> bodies = nullptr);

  const std::vector<journal::Segment>& segments() const override { return segments_; }
  Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) override;
  std::string place_of(std::size_t segment) const override {
    return segment_path(directory_, segments_.at(segment).number, kind_);
  }

private:
  Result<const FileDescriptor*> file_of(std::size_t segment);
  Result<> read_file(std::size_t segment, std::uint64_t offset, std::span<char> into);

  std::string directory_;
  std::vector<StoredSegment> stored_;
  std::vector<journal::Segment> segments_;
  LineKind kind_;
  std::unique_ptr<WholeLines> whole_; // of the segment with such lines that was read last
  std::size_t whole_of_ = 0;
  std::shared_ptr<SharedAnswers> bodies_;
  std::map<std::size_t, FileDescriptor> open_; // by index
};

} // namespace gristmill::coordinator
