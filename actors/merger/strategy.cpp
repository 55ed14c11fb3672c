#include "actors/merger/strategy.hpp"

namespace gristmill::merger {

std::unique_ptr<Strategy> strategy_for(const JobSpec& spec) {
  switch (spec.shape.task) {
  case Task::chat: return text_strategy();
  case Task::embed: return embeddings_strategy();
  case Task::classify: return classifications_strategy(spec.shape.labels, spec.shape.models);
  }
  return nullptr;
}

} // namespace gristmill::merger
