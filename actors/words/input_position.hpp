// A position in a job's input, from which reading can go on. Invariant: every item before it is
// terminal when it stands in the journal.
#pragma once

#include "protocol/job/preprocessed.hpp"

#include <compare>
#include <cstdint>

namespace gristmill {

struct InputPosition {
  std::uint32_t input = 0;  // index into JobSpec::inputs
  std::uint64_t offset = 0; // bytes
  std::uint64_t line = 0;   // lines read before it in this input
  std::uint64_t item = 0;   // ordinal of the next item
  Preprocessed before{};    // of the records before it
  auto operator<=>(const InputPosition&) const = default;
};

} // namespace gristmill
