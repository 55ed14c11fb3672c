// SOAK: one long history, in which jobs come and are forgotten day and night. It samples how many
// entries the lists of all rooms have, and how many rows the journal. Invariant: whatever is red
// grows with the time that has passed, not with the work that is there.
#pragma once

#include "actors/kit/sizes.hpp"
#include "actors/kit/time.hpp"

#include <map>
#include <string>
#include <vector>

namespace gristmill::sim {

class Soak {
public:
  void sample(const Sizes& sizes, Duration age);
  // Those that were larger in the second half than in the first, beyond what chance explains.
  std::vector<std::string> growing() const;
  std::string table() const; // of the largest of each hour

private:
  std::map<std::string, std::vector<std::size_t>> most_; // by hour
  std::size_t hours_ = 0;
};

} // namespace gristmill::sim
