// PART PLAN: how an item is divided into parts, and how many parts go together in a call.
// Invariant: the same item has the same parts in every life of its job.
#pragma once

#include "protocol/ids.hpp"

#include <cstdint>
#include <string>

namespace gristmill::supervisor {

class PartPlan {
public:
  virtual ~PartPlan() = default;
  // Numbered from 0.
  virtual std::uint32_t parts_of(JobId job, std::uint64_t item) const = 0;
  // What stands for the part in its call.
  virtual std::string raw_of(const PartId& part, std::string item) const = 0;
  virtual std::size_t parts_in_a_call(JobId job) const = 0;
};

// An item is one part, in a call of its own.
class WholeItems final : public PartPlan {
public:
  std::uint32_t parts_of(JobId, std::uint64_t) const override { return 1; }
  std::string raw_of(const PartId&, std::string item) const override { return item; }
  std::size_t parts_in_a_call(JobId) const override { return 1; }
};

inline const WholeItems whole_items;

} // namespace gristmill::supervisor
