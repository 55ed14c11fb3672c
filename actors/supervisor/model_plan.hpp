// MODEL PLAN: which model each call of a job asks for, and what a call may answer at most when its
// request does not say. The first model is the job's, else the item's own; the fallback is the
// job's, else that of the first model's pool. Invariant: a planned model is stated only where the
// worker could not tell it from job and item alone, or where the pools are told apart by it.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/job/pools.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace gristmill::supervisor {

// Ends of an item's last attempt after which another model may do better: those that are the
// model's doing, not the request's, the key's or the user's. An endpoint's faults are waited for.
bool may_fall_back(OutcomeClass cls);

// The model that a batch line's body names; empty = none.
std::string model_of_line(std::string_view raw);

struct PlannedModel {
  std::string model;                   // empty = as the job says
  bool has_fallback = false;           // the item may be tried at another model
  std::uint64_t max_output_tokens = 0; // of a request that states no limit; assumed, unless …
  bool limits_answers = true;          // … its pool says so, or answers cost nothing
};

class ModelPlan {
public:
  ModelPlan(const JobSpec& spec, const std::vector<PoolSpec>& pools);

  PlannedModel plan(ItemKind kind, std::string_view raw, bool on_fallback) const;

private:
  std::string first_model(ItemKind kind, std::string_view raw) const;
  std::string fallback_of(std::string_view model) const;
  std::vector<PoolSpec> pools_;
  bool own_endpoints_; // where the pools say no more than prices and limits
  bool has_budget_;    // of money: what a call costs is told by its model
  std::string model_of_all_, fallback_, default_model_;
};

} // namespace gristmill::supervisor
