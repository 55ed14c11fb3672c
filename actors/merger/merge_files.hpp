// MERGE FILES: the window through which MERGER reads a job's segments and writes its result. The
// order index lives on disk, because it grows with the items. Invariant: the result appears under
// its name only by finish(), complete and durable.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::merger {

// Where an item's line stands.
struct LinePlace {
  std::uint32_t segment = 0; // index into the job's segments
  std::uint32_t bytes = 0;   // without the newline; 0 = no line is known
  std::uint64_t offset = 0;
};

struct FinalFile {
  std::string path, sha256;
  std::uint64_t bytes = 0, lines = 0;
  std::string ids; // path of the file that says whose the rows of an array are; empty = none
};

class MergeFiles {
public:
  virtual ~MergeFiles() = default;
  virtual std::size_t segment_count() const = 0;
  virtual std::uint64_t segment_bytes(std::size_t segment) const = 0; // durable ones
  // Reads exactly into.size() bytes.
  virtual Result<> read(std::size_t segment, std::uint64_t offset, std::span<char> into) = 0;
  virtual Result<> put_place(std::uint64_t item, LinePlace place) = 0;
  virtual Result<LinePlace> place_of(std::uint64_t item) = 0;
  virtual Result<> write(std::string_view bytes) = 0; // to the end of OUTPUT.part
  // To the end of the file beside an array; nobody writes there when OUTPUT is none.
  virtual Result<> write_ids(std::string_view bytes) = 0;
  // Makes OUTPUT.part durable, gives it its name and makes the name durable; what stands beside it
  // first. `lines` is left to the caller.
  virtual Result<FinalFile> finish() = 0;
  // Replaces OUTPUT.summary.json in the same way.
  virtual Result<> write_summary(std::string_view json) = 0;
};

} // namespace gristmill::merger
