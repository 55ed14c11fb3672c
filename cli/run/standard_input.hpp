// STANDARD INPUT: it can be read once, and a job reads its input again for every retry and after a
// crash, so it is spooled beside the state, for its owner alone. A short one is spooled to its end
// before anything is looked at; one that goes on is left to STANDARD STREAM once its first line is
// there. What an earlier run spooled is taken again, unless the job begins anew: then the old one
// is replaced by keep() only. It goes when no run can need it any more. Invariant: what comes now
// and is something else than what was spooled is an error, never ignored; nothing at all, or a
// terminal, goes on with what was.
#pragma once

#include "coordinator/result/part_file.hpp"
#include "protocol/job/spec.hpp"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace gristmill::cli {

using InputFile = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
// Standard input in a file without a name, which ends with this process: a pipe can be read once,
// and intake looks at an input's beginning first.
Result<InputFile> kept_standard_input();

class StandardInput {
public:
  enum class End : std::uint8_t {
    awaited,        // it is spooled to its end
    may_come_later, // … or as long as a first line and a moment more take
  };
  struct Wanted {
    bool anew = false, continues = false; // continues: it goes on behind what there is
    End end = End::awaited;
  };
  // `calls`: of the spool.
  static Result<StandardInput> spool(const std::string& state, Wanted wanted,
                                     coordinator::DiskCalls calls = coordinator::real_disk());
  // As the job in this state directory knows it; nothing while the spool is there, or if the job
  // has no standard input.
  static Result<std::optional<InputSpec>> recalled(const std::string& state);

  // Refused: there is none that goes on behind what an earlier run was given.
  static Result<> refuse_end(const std::string& state);
  // Refused: what comes now differs from what an earlier run spooled there.
  static Result<> refuse_other(const std::string& state);

  // Its end has not come.
  bool goes_on() const { return goes_on_; }
  // … and that came of it behind the spool.
  std::string take_rest() { return std::exchange(rest_, {}); }
  std::uint64_t spooled_bytes() const { return bytes_; }
  // That the spool has been removed because nobody needs it any more: what it was.
  static Result<> remember(const std::string& state);

  InputSpec input() const { return input_; }
  std::string readable_path() const { return part_ ? part_->part_path() : input_.path; }
  Result<> keep(); // nothing is wrong with the job
  // The state is ours, and the job goes on: what an earlier run spooled ends where it is to end.
  Result<> settle();
  void remove();

private:
  StandardInput() = default;
  Result<> begin(End end, coordinator::DiskCalls calls);
  Result<> begin_again(bool continues);
  InputSpec input_;
  std::uint64_t bytes_ = 0;               // of the spool
  bool goes_on_ = false, is_cut_ = false; // is_cut_: its end will never come
  std::string rest_;
  std::optional<std::uint64_t> whole_bytes_;    // to which the spool is to be cut
  std::unique_ptr<coordinator::PartFile> part_; // none: nothing is to be moved
};

} // namespace gristmill::cli
