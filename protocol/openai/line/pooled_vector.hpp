// POOLED VECTOR: one vector of those of a text's chunks: their mean, each weighted by its chunk's
// bytes, divided by its Euclidean length. Invariant: the same vectors give the same text on every
// machine: sums are fused and in the order given, and a number is the shortest text that reads back
// as the same float.
#pragma once

#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::openai {

class PooledVector {
public:
  // `embedding`: an array of numbers, or base64 of float32. The error says what was expected and
  // what came; nothing is added then.
  Result<> add(json::Value embedding, std::uint64_t weight);

  // An array of numbers; of vectors that add up to nothing all are 0.
  std::string json() const;

private:
  std::vector<double> sums_;
};

} // namespace gristmill::openai
