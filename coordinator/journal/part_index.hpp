// PART INDEX: where the part lines stand that hold, of items that have no answered line yet: who
// joins an item reads them again. Invariant: as many entries as the open and failed items have
// parts.
#pragma once

#include "actors/journal/commit_row.hpp"
#include "coordinator/journal/segment_files.hpp"

#include <map>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

struct PartPlace {
  OutcomeClass cls = OutcomeClass::ok;
  std::uint32_t segment = 0;
  std::uint64_t offset = 0, bytes = 0; // newline included
};
using PartPlaces = std::map<std::uint32_t, PartPlace>; // by part

class PartIndex {
public:
  // What a commit says of a job; its part lines lie in that range. A blob that cannot be read is
  // left to whoever reads the journal.
  void add(JobId job, std::string_view items, const SegmentRange& parts);
  void forget(JobId job) { jobs_.erase(job); }
  // Of parts whose numbers are in [first, last).
  PartPlaces of(JobId job, std::uint64_t item, std::uint32_t first = 0,
                std::uint32_t last = ~0u) const;

private:
  std::map<JobId, std::map<std::uint64_t, PartPlaces>> jobs_;
};

} // namespace gristmill::coordinator
