// What the INPUT arguments of a command amount to: files as they were found. A pattern stands for
// what it matches, a directory for the files below it whose suffix we know. Standard input can be
// read once, and a job reads its input again for every retry and after a crash, so it is spooled
// beside the state first. Invariant: the same files give the same inputs in the same order.
#pragma once

#include "coordinator/result/part_file.hpp"
#include "protocol/job/spec.hpp"

#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

// What was found in directories and by patterns and is no document, because a job has left it
// there; and what was named more than once.
class LeftOut {
public:
  void add(const std::string& name);
  void add_named_before(const std::string& name); // a file that is an input already
  void tell() const; // one line on standard error; nothing if there is nothing

private:
  std::string first_, first_named_before_;
  std::uint64_t count_ = 0, named_before_ = 0;
};

// The inputs as a node on this machine reads them; "-" stays as it is. Errors name the input. Files
// of the job itself, which are called `output` or begin with it and a point, are no inputs of a
// directory or a pattern; `output` is empty when there is none here.
Result<std::vector<InputSpec>> found_inputs(const std::vector<std::string>& names,
                                            const std::string& output, LeftOut* left_out = nullptr);

using InputFile = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;
// Standard input in a file without a name, which ends with this process: a pipe can be read once,
// and intake looks at an input's beginning first.
Result<InputFile> kept_standard_input();

// Standard input in its place beside the state, for its owner alone. What an earlier run spooled is
// taken again, unless the job begins anew: then the old one is replaced by keep() only. It goes
// when no run can need it any more. Invariant: what comes now and is something else than what was
// spooled is an error, never ignored; nothing at all, or a terminal, goes on with what was.
class StandardInput {
public:
  // `calls`: of the spool.
  static Result<StandardInput> spool(const std::string& state, bool anew,
                                     coordinator::DiskCalls calls = coordinator::real_disk());
  // As the job in this state directory knows it; nothing while the spool is there, or if the job
  // has no standard input.
  static Result<std::optional<InputSpec>> recalled(const std::string& state);

  // Refused: what comes now differs from what an earlier run spooled there.
  static Result<> refuse_other(const std::string& state);

  InputSpec input() const { return input_; }
  std::string readable_path() const { return part_ ? part_->part_path() : input_.path; }
  Result<> keep(); // nothing is wrong with the job
  void remove();

private:
  StandardInput() = default;
  InputSpec input_;
  std::unique_ptr<coordinator::PartFile> part_; // none: nothing is to be moved
};

// More inputs than a specification should hold become one that names their list.
struct ListedInputs {
  std::vector<InputSpec> inputs; // for the specification
  std::string list;              // its text, to be written to the path that they name; empty = none
};
ListedInputs listed(std::vector<InputSpec> inputs, const std::string& list_path);

bool reads_standard_input(const std::vector<std::string>& names);

// Where the result goes when the user does not say; an error if no name suggests itself.
Result<std::string> default_output(const std::vector<std::string>& names);

} // namespace gristmill::cli
