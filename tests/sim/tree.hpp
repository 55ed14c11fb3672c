// TREE: which parts an item has, and which of them see the answers of which others, worked out
// anew, so that the machine's own division is not taken at its word.
#pragma once

#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "tests/sim/swarm.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gristmill::sim {

struct Tree {
  std::vector<std::uint32_t> parts;                          // of level 0
  std::map<std::uint32_t, std::vector<std::uint32_t>> steps; // what each is to see
  std::vector<std::vector<std::uint32_t>> tops;              // of each model: what is its answer

  static Tree of(const JobPlan& job, std::size_t plan, std::uint64_t item);
  std::vector<std::uint32_t> all() const;
};

// A paragraph of a document, which is a chunk; so many tokens are more than one and less than two.
std::string paragraph(std::size_t plan, std::uint64_t item, std::uint32_t n);
std::uint32_t chunk_tokens(const JobPlan& job, std::size_t plan);

// That of jobs whose tokens are counted: most bytes are tokens, of which the estimate sees a fifth.
const std::shared_ptr<const bpe::Tokenizer>& sim_tokenizer();

} // namespace gristmill::sim
