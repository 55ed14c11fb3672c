// LINE STORE: the window through which rooms read lines that are durable. Nothing else reaches them
// by a path. Invariant: what it gives back is what was appended, or an error.
#pragma once

#include "actors/words/records.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace gristmill::journal {

class LineStore {
public:
  virtual ~LineStore() = default;
  // Any thread. The durable part lines of an item that hold, in the order of their parts.
  virtual Result<std::vector<PartLine>> parts_of(JobId job, std::uint64_t item) = 0;
};

} // namespace gristmill::journal
