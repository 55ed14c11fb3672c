// ARRAY WRITER: the embeddings of a job as a NumPy array, format 1.0: float32, one row for each
// item in the order of the input, NaN throughout for an item that failed. Beside it one line a row
// says whose it is. The header comes first and needs the length of a row, so it is written with the
// first embedding; rows before that are only counted.
// Invariant: memory holds one row, and a row that would not fit ends the merge.
#pragma once

#include "actors/merger/line_facts.hpp"
#include "actors/merger/merge_files.hpp"

#include <string>

namespace gristmill::merger {

// Magic, version, and a dictionary padded to a multiple of 64 bytes.
std::string npy_header(std::uint64_t rows, std::uint64_t dimensions);

class ArrayWriter {
public:
  ArrayWriter(MergeFiles& files, std::uint64_t rows) : files_{files}, rows_{rows} {}

  // The next item. It failed, or it has exactly one embedding, as long as the first one.
  Result<> add(const LineFacts& facts);
  Result<> finish(); // after the last item

private:
  Result<> check(const LineFacts& facts) const;
  Result<> begin(std::size_t dimensions);
  Result<> write_row(std::span<const float> row);
  Result<> write_id(const LineFacts& facts);

  MergeFiles& files_;
  std::uint64_t rows_, row_ = 0;
  bool begun_ = false;
  std::vector<float> nothing_; // the row of a failed item
  std::string bytes_;
};

} // namespace gristmill::merger
