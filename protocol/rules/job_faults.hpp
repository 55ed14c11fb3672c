// JOB FAULTS: what is wrong with a job's specification.
#pragma once

#include "protocol/job/spec.hpp"

#include <string>
#include <vector>

namespace gristmill {

// Every fault of the specification at once, one sentence each; empty = valid.
std::vector<std::string> faults_of(const JobSpec& spec);

} // namespace gristmill
