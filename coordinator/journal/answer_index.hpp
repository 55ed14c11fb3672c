// ANSWER INDEX: where the lines stand that answered a request, by its key: what a job has asked
// already it need not ask again. Most of it is on scratch pages, and all of it is read from the
// journal's rows when a job begins another life. Invariant: what is not found here costs a call and
// no answer, so a disk that has no room for it is no fault.
#pragma once

#include "actors/intake/seen_ids.hpp"
#include "actors/journal/commit_row.hpp"
#include "coordinator/journal/segment_files.hpp"

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

struct AnswerPlace {
  LineKind kind = LineKind::results;
  std::uint32_t segment = 0;
  std::uint64_t offset = 0;
};

// Any thread.
class AnswerIndex {
public:
  explicit AnswerIndex(std::string scratch_directory)
      : scratch_directory_{std::move(scratch_directory)} {}

  // What a commit says of a job; its lines lie in these ranges. Of equal requests the first counts.
  void add(JobId job, std::string_view items, const SegmentRange& results,
           const SegmentRange& parts);
  void forget(JobId job);
  std::optional<AnswerPlace> find(JobId job, const RequestKey& key);

private:
  std::string scratch_directory_;
  std::map<JobId, intake::SeenIds> jobs_; // that have keys; where a place is, as a number
  std::mutex mutex_;
};

} // namespace gristmill::coordinator
