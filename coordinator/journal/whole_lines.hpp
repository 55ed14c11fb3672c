// WHOLE LINES: the lines of a segment as everybody but the journal knows them, where the bodies of
// some stand in a shared directory. Only here is it known that they do. Invariant: a line that
// cannot be made whole is an error that names the file and the offset of its body.
#pragma once

#include "coordinator/shared/shared_answers.hpp"
#include "protocol/openai/line/line_by_reference.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace gristmill::coordinator {

struct LineMark;

class WholeLines {
public:
  // Reads exactly so many bytes of the segment's file.
  using ReadFile = std::function<Result<>(std::uint64_t offset, std::span<char> into)>;
  WholeLines(ReadFile file, std::shared_ptr<SharedAnswers> bodies)
      : file_{std::move(file)}, bodies_{std::move(bodies)} {}

  // So many bytes from `offset` of the whole lines. `from`: a line begins there, not behind
  // `offset`; `end`: of the file.
  Result<> read(const LineMark& from, std::uint64_t end, std::uint64_t offset,
                std::span<char> into);

private:
  Result<> next_line(std::uint64_t end);
  Result<std::size_t> find_end(std::uint64_t end);
  Result<> make_whole();

  ReadFile file_;
  std::shared_ptr<SharedAnswers> bodies_;
  std::string buffer_; // of the file, from at_ on
  std::size_t used_ = 0;
  std::uint64_t in_file_ = 0, in_whole_ = 0; // where the next line begins
  // The line before it: as it stands in the file, with its newline, and how long it is; and whole,
  // once somebody wants to read of it.
  std::string line_, text_;
  std::uint64_t line_begins_ = 0, line_bytes_ = 0;
  bool is_whole_ = false;
};

} // namespace gristmill::coordinator
