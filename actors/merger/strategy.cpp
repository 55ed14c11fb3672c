#include "actors/merger/strategy.hpp"

namespace gristmill::merger {

std::unique_ptr<Strategy> strategy_for(const JobSpec& spec) {
  if (spec.task == "embed") return embeddings_strategy();
  if (spec.task == "classify") return classifications_strategy(spec.labels);
  return text_strategy();
}

} // namespace gristmill::merger
