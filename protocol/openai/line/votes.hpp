// VOTES: which of the labels that several voters gave has most of the weight. Models weigh the
// same, chunks of a text as much as they are long. Invariant: labels that differ in the case of A
// to Z alone are one, spelled as it came first.
#pragma once

#include "protocol/text/json_text.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::openai {

class Votes {
public:
  void add(const std::string& label, std::uint64_t weight);

  bool empty() const { return counts_.empty(); }
  // Empty = nobody voted, or a tie.
  std::string label() const;
  bool tie() const; // several labels have most of the weight
  // {"LABEL":WEIGHT,…}, in the order in which they came first.
  std::string json() const;

private:
  std::uint64_t most() const;

  std::vector<std::pair<std::string, std::uint64_t>> counts_;
};

// What a line says of a label and of how it came about.
struct Labelled {
  std::string label; // empty = none
  std::string votes; // as JSON; empty = nobody was to vote
  bool tie = false;

  // [,"label":"…"|null][,"votes":{…}][,"tie":true]; null where votes gave none.
  std::string members() const;
  bool stands_in(json::Value object) const; // these, and no others
};

} // namespace gristmill::openai
