// CACHE SCOPE: among which jobs an answer to the same request may be taken for an answer.
#pragma once

#include "protocol/job/spec.hpp"

#include <string>

namespace gristmill {

// Jobs of one scope have the same endpoints, or leave them to the pools of their model, and check
// answers alike. Empty: the job takes no answers from elsewhere and gives none (--no-cache).
std::string cache_scope(const JobSpec& spec);

} // namespace gristmill
