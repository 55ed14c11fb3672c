// STRATEGY: what a kind of task aggregates over its result, beyond what every job counts. It sees
// each item's line once, in the order of the result, and adds one object to the summary.
// Invariant: memory does not follow the corpus.
#pragma once

#include "actors/merger/line_facts.hpp"
#include "protocol/job/spec.hpp"

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string_view>

namespace gristmill::merger {

class Strategy {
public:
  virtual ~Strategy() = default;
  virtual std::string_view name() const = 0; // of its object in the summary
  virtual bool wants_vectors() const { return false; }
  virtual void add(const LineFacts& facts) = 0;
  virtual nlohmann::ordered_json result() const = 0;
};

// Finish reasons and mean length of the answers of text models.
std::unique_ptr<Strategy> text_strategy();
// Count, dimensions and L2 norms of embeddings.
std::unique_ptr<Strategy> embeddings_strategy();
// Count and share of each label; of several models how far each two agree.
std::unique_ptr<Strategy> classifications_strategy(std::vector<std::string> labels,
                                                   std::vector<std::string> models);

// By the job's task, also for batch lines, whatever their paths: text unless the task says else.
std::unique_ptr<Strategy> strategy_for(const JobSpec& spec);

} // namespace gristmill::merger
