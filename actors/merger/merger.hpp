// MERGER: one per job. Turns the segments, which hold lines in completion order, into the one
// result: each item exactly once, in input order (or as they came), with a summary of what
// happened. An OUTPUT that ends with .npy is an array of embeddings instead of lines.
//   hears  MergeTask  from JOB DESK, when every item is terminal and durable
//   tells  JOB DESK that the result stands, or why not
//   never  keeps a line or an item longer than its slice of work
// Invariant: merging again, also after a kill at any point, gives the same bytes.
#pragma once

#include "actors/merger/merge_files.hpp"
#include "protocol/job/counted_error.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/state.hpp"

#include <memory>
#include <string>

namespace gristmill::merger {

struct MergeTask {
  JobId job;
  JobSpec spec;
  JobCounts counts;                     // the durable ones
  std::int64_t created_at = 0, now = 0; // unix seconds
  bool cancelled = false;
  ErrorList errors = {}; // that calls met; those that ended items are counted by the lines
};

struct MergeStep {
  bool done = false;
  std::string failure; // a sentence; the segments stand, merging may be tried again
  ErrorCode code = ErrorCode::internal; // of the failure: disk_full, or io and bad_input that stay
  FinalFile file;                       // when done
  std::string summary;                  // when done: the JSON of OUTPUT.summary.json
  ErrorList errors = {};                // when done: those of lines and of calls
};

class Merger {
public:
  // `files` must outlive it. A slice is made longer only for a line that is longer.
  Merger(MergeTask task, MergeFiles& files, std::size_t slice_bytes = 2u << 20);
  ~Merger();

  // One slice of the work: some megabytes, so that its actor never holds a thread for long.
  MergeStep step();

private:
  struct Work;
  std::unique_ptr<Work> work_;
};

} // namespace gristmill::merger
