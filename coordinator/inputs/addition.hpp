// ADDITION: more inputs of a job that there is, and what tells them from others: two additions with
// one hash have the same contents under the same names in the same order, wherever they lie.
#pragma once

#include "coordinator/inputs/roots.hpp"
#include "protocol/job/spec.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct Addition {
  std::vector<InputSpec> inputs; // as the job reads them
  std::string hash;              // of contents and names
  std::uint64_t bytes = 0;       // of the contents
};

// Of inputs in their places, each a file or a piece of one. All of them are read.
Result<Addition> addition_of(std::vector<InputSpec> inputs, const InputRoots& roots);

} // namespace gristmill::coordinator
