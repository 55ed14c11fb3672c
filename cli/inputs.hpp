// What the INPUT arguments of a command amount to: files as they were found. Standard input can be
// read once, and a job reads its input again for every retry and after a crash, so it is spooled
// beside the state first.
#pragma once

#include "protocol/job_spec.hpp"

#include <string>
#include <vector>

namespace gristmill::cli {

// The inputs as a node on this machine reads them. Errors name the input.
Result<std::vector<InputSpec>> local_inputs(const std::vector<std::string>& names,
                                            const std::string& state);
bool reads_standard_input(const std::vector<std::string>& names);

// Where the result goes when the user does not say.
std::string default_output(const std::vector<std::string>& names);

} // namespace gristmill::cli
