// JOINER makes an item's line of the lines of its parts, or what one more part is to see of them,
// for all jobs that have items of several parts.
//   hears  Join    from SUPERVISOR: items all of whose parts are durable
//   tells  SUPERVISOR what it made, or that it cannot be made
//   never  decides what becomes of an item, or keeps a line longer than its slice of work
// Jobs take turns. Invariant: the same parts give the same line, so joining an item again, after a
// crash or because it was asked for twice, changes nothing.
#pragma once

#include "actors/journal/line_store.hpp"
#include "actors/words/joining.hpp"

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace gristmill::joiner {

struct JoinStep {
  JobId job; // 0 = there was nothing to do
  std::vector<JoinedItem> items;
  bool more = false;            // items wait for the next slice
  std::optional<Error> failure; // the job's lines cannot be read
};

class Joiner {
public:
  // `lines` outlives it. A slice ends with the item that reaches so many bytes.
  explicit Joiner(journal::LineStore& lines, std::size_t slice_bytes = 1u << 20)
      : lines_{lines}, slice_bytes_{slice_bytes} {}

  void join(JobId job, std::vector<ItemToJoin> items);
  // Of one job. After a failure that passes its items still wait, after any other they are gone.
  JoinStep step();
  std::size_t waiting() const; // items

private:
  Result<JoinedItem> joined(JobId job, const ItemToJoin& item, std::size_t& bytes);

  journal::LineStore& lines_;
  std::size_t slice_bytes_;
  std::map<JobId, std::deque<ItemToJoin>> waiting_; // none is empty
  JobId last_;                                      // whose turn it was
};

} // namespace gristmill::joiner
