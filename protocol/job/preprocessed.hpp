// PREPROCESSED: what became of the records of an input before they were items: those that a job
// leaves out, by what left them out, and the items whose text was changed. Records read = items +
// dropped(). Invariant: as far as one has read, these follow from the input and the job alone.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <nlohmann/json_fwd.hpp>

namespace gristmill {

struct Preprocessed {
  std::uint64_t where = 0, empty = 0, sample = 0; // dropped
  std::uint64_t normalised = 0;                   // items
  std::uint64_t mended = 0;                       // … of them those with bytes that were no UTF-8

  std::uint64_t dropped() const { return where + empty + sample; }
  // Of two of one job, who has read further knows.
  void raise_to(const Preprocessed& other) {
    where = std::max(where, other.where);
    empty = std::max(empty, other.empty);
    sample = std::max(sample, other.sample);
    normalised = std::max(normalised, other.normalised);
    mended = std::max(mended, other.mended);
  }
  auto operator<=>(const Preprocessed&) const = default;
};

// As summary, HTTP API and dry run have it, among the members of an object of so many items:
// lines_read, dropped, normalised, mended.
void add_preprocessed(nlohmann::ordered_json& object, std::uint64_t items, const Preprocessed& all);
Preprocessed preprocessed_of(const nlohmann::ordered_json& object); // what is not there is 0

} // namespace gristmill
