// MODEL PLAN: which model each call of a job asks for, and what a call may answer at most when its
// request does not say. The first model is the job's for such a part, else the item's own, else the
// one that was found at the job's endpoints; the fallback is the job's, else that of the first
// model's pool. Nobody else decides it: the model stands in the call from here to the request. A
// call without one goes to the only model that pools and workers serve, and waits as long as there
// are several.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/job/pools.hpp"
#include "protocol/part_number.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::supervisor {

// Ends of an item's last attempt after which another model may do better: those that are the
// model's doing, not the request's, the key's or the user's. An endpoint's faults are waited for.
bool may_fall_back(OutcomeClass cls);

struct PlannedModel {
  std::string model;                   // empty = nobody names one
  bool has_fallback = false;           // the item may be tried at another model
  std::uint64_t max_output_tokens = 0; // of a request that states no limit; assumed, unless …
  bool limits_answers = true;          // … its pool says so, or answers cost nothing
};

class ModelPlan {
public:
  ModelPlan(const JobSpec& spec, const std::vector<PoolSpec>& pools);

  PlannedModel plan(const PartNumber& part, ItemKind kind, std::string_view raw,
                    bool on_fallback) const;

  // Of such a part, whose answer names that model.
  TokenPrice price_of(const PartNumber& part, std::string_view answered_by) const;

private:
  std::string first_model(const PartNumber& part, ItemKind kind, std::string_view raw) const;
  std::string fallback_of(std::string_view model) const;
  std::vector<PoolSpec> pools_;
  bool own_endpoints_; // where the pools say no more than prices and limits
  ModelNames models_of_all_;
  std::string judge_model_, fallback_, default_model_;
};

} // namespace gristmill::supervisor
