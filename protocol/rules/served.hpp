// SERVED: which pool serves a job or an item, and what to say when none does.
#pragma once

#include "protocol/job/pools.hpp"

#include <set>
#include <string>
#include <vector>

namespace gristmill {

// The models that have a configured endpoint.
std::set<std::string> models_of(const std::vector<PoolSpec>& pools);

// The models that job or parameters name for every item; none = each item names its own.
ModelNames models_of_all(const JobSpec& spec);
// … and those of its other steps.
std::set<std::string> models_asked(const JobSpec& spec);

// Why calls for the model have to wait, as a sentence; empty = some pool serves it. No model: the
// items name theirs.
std::string why_unserved(const std::string& model, const std::set<std::string>& served);

// The same for an item, which without a model goes to the only one that is served.
std::string why_item_unserved(const std::string& model, const std::set<std::string>& served);

// Why a job cannot go to the pools that serve these models, as a sentence; empty = it can. A job
// with endpoints of its own always can.
std::string why_not_served(const JobSpec& spec, const std::set<std::string>& served);

} // namespace gristmill
