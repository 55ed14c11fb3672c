// Whether a command that goes on with an earlier run was given the same inputs: the same files, by
// whatever path, with the same content. Invariant: what is called the same gives the same items.
#pragma once

#include "protocol/job/spec.hpp"

#include <vector>

namespace gristmill::cli {

// `before`: of the job's specification, perhaps a list; `now`: one by one, as the command found
// them. What the job goes on with: the names of before, so that ids stay what they are. An error
// (usage) names the first input that differs, and how.
Result<std::vector<InputSpec>> same_inputs(const std::vector<InputSpec>& before,
                                           const std::vector<InputSpec>& now);

} // namespace gristmill::cli
