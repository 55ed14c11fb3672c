// PART PLAN: how an item is divided into parts, and how many parts go together in a call.
// Invariant: the same item has the same parts in every life of its job.
#pragma once

#include "actors/words/streams.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/part_number.hpp"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gristmill::supervisor {

class PartPlan {
public:
  virtual ~PartPlan() = default;
  // The numbers of the parts that an item begins with, in their order.
  virtual std::span<const std::uint32_t> parts_of(JobId job, std::uint64_t item) const = 0;
  // The part that sees the answers of these, once all of them are there; none: they are the item's
  // answer.
  virtual std::optional<std::uint32_t> step_after(JobId, std::span<const std::uint32_t>) const {
    return std::nullopt;
  }
  // What stands for the part in its call.
  virtual std::string raw_of(const PartId& part, std::string item) const = 0;
  virtual std::size_t parts_in_a_call(JobId job) const = 0;
  // Whether the item's line is made of lines of parts.
  bool divides(JobId job, std::span<const std::uint32_t> parts) const {
    return parts.size() > 1 || step_after(job, parts).has_value();
  }
};

// As its job says: an item is asked of each model, and the judge sees the answers.
class JobParts : public PartPlan {
public:
  explicit JobParts(const JobSpec& spec) {
    const bool is_judged = !spec.shape.judge_model.empty();
    const std::uint32_t models = streams_of(spec) - is_judged;
    for (std::uint32_t model = 0; model < models; ++model)
      parts_.push_back(PartNumber{model, 0, 0}.value());
    if (is_judged) judge_ = PartNumber::judge(models).value();
  }
  std::span<const std::uint32_t> parts_of(JobId, std::uint64_t) const override { return parts_; }
  std::optional<std::uint32_t> step_after(JobId,
                                          std::span<const std::uint32_t> parts) const override {
    return std::ranges::find(parts, judge_) == parts.end() ? judge_ : std::nullopt;
  }
  std::string raw_of(const PartId&, std::string item) const override { return item; }
  std::size_t parts_in_a_call(JobId) const override { return 1; }

private:
  std::vector<std::uint32_t> parts_;
  std::optional<std::uint32_t> judge_;
};

} // namespace gristmill::supervisor
