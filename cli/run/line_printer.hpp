// LINE PRINTER: the result of `-o -`. Prints a job's lines to a descriptor in the order in which
// they were finished, each only when it is durable, and keeps in STATE/printed how far it came, so
// that the next run of the command goes on there.
// Invariant: what STATE/printed says ends with a whole line and was taken by the descriptor; a kill
// can only repeat the lines since it was last said, never lose one.
#pragma once

#include "actors/journal/line_store.hpp"
#include "coordinator/disk/file_io.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <string>

namespace gristmill::cli {

class LinePrinter {
public:
  using Clock = std::chrono::steady_clock;

  // Goes on where an earlier one stopped. `descriptor` is not closed.
  static Result<LinePrinter> open(const std::string& state, int descriptor,
                                  coordinator::DiskCalls calls = coordinator::real_disk());

  enum class Printed : std::uint8_t {
    all,    // that is durable
    some,   // the reader is slow, or the time is over
    closed, // nobody reads any more
  };
  // Waits for a slow reader no longer than `at_most`.
  Result<Printed> print(journal::JobLines& durable, std::chrono::milliseconds at_most);
  Result<> save();
  std::uint64_t lines() const { return lines_; } // by this and the earlier ones
  std::uint64_t bytes() const { return bytes_; } // by this one

private:
  LinePrinter(std::string path, int descriptor, coordinator::DiskCalls calls);
  Result<> recall();
  Result<> end_torn_line();
  Result<bool> refill(journal::JobLines& durable);
  Result<> read(journal::JobLines& durable, std::size_t segment);
  Result<Printed> write(Clock::time_point until);

  std::string path_; // of STATE/printed
  int descriptor_;
  coordinator::DiskCalls calls_;
  bool regular_ = false;
  std::string segment_;       // name of the one that is printed; empty = none yet
  std::uint64_t read_ = 0;    // bytes of it that were read
  std::uint64_t printed_ = 0; // bytes of it that were printed, up to the end of a line
  std::uint64_t lines_ = 0, bytes_ = 0;
  std::string buffer_; // read, and printed up to written_
  std::size_t written_ = 0;
  bool unsaved_ = false;
  Clock::time_point saved_at_{};
};

} // namespace gristmill::cli
