// What the INPUT arguments of a command amount to: files as they were found. A pattern stands for
// what it matches, a directory for the files below it whose suffix we know; standard input stays
// "-". Invariant: the same files give the same inputs in the same order.
#pragma once

#include "protocol/job/spec.hpp"

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
