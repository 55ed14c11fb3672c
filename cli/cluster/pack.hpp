// PACK: many input files on their way to a coordinator as one upload, because a request for each
// would take longer than the files themselves; and the list that says which piece is which file.
// Invariant: memory does not grow with the files' content, and a file that changes under our hands
// ends the upload.
#pragma once

#include "cli/run/standard_input.hpp"

#include <cstdio>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gristmill::cli {

Result<InputFile> open_input(const std::string& path); // "-" = standard input
// As much as there is; less than asked for only at its end.
Result<std::size_t> read_input(std::FILE* file, const std::string& path, std::span<char> into);

// The files' content, one after the other behind a line that says what this is. Those that are
// called "-" are not in it. `files` must outlive it.
class PackContent {
public:
  explicit PackContent(const std::vector<InputSpec>& files) : files_{files} {}
  std::uint64_t bytes() const;
  Result<std::size_t> read(std::span<char> into);

private:
  Result<std::size_t> read_files(std::span<char> into);

  const std::vector<InputSpec>& files_;
  std::size_t head_given_ = 0, next_ = 0; // next_: file to be opened
  std::uint64_t left_ = 0;                // of the open file
  InputFile open_{nullptr, std::fclose};
};

// What each of them is then, for a pack that was uploaded to this place; "-" was uploaded by
// itself.
class PackList {
public:
  PackList(const std::vector<InputSpec>& files, std::string pack, std::string standard_input);
  Result<std::size_t> read(std::span<char> into); // as a list, a line for each
  std::vector<InputSpec> rest();                  // those that were not read

private:
  InputSpec next();

  const std::vector<InputSpec>& files_;
  const std::string pack_, standard_input_;
  std::size_t next_ = 0;
  std::uint64_t offset_;
  std::string line_; // not yet given
};

} // namespace gristmill::cli
