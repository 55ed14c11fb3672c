// RECOVERED JOB: all that the journal holds of one job, as whoever goes on with it is told. Plain
// data. Invariant: what is terminal here has its line, and nothing else has.
#pragma once

#include "actors/words/item_set.hpp"
#include "actors/words/records.hpp"
#include "protocol/job/usd.hpp"

#include <map>
#include <string>
#include <vector>

namespace gristmill::journal {

struct RecoveredJob {
  JobId job;
  std::string spec, directory, detail;
  JobState state = JobState::running;
  JobReason reason = JobReason::none;
  std::int64_t created_at = 0, ended_at = 0; // ended_at: as JobChange::kept_at() says
  ItemSet terminal;
  std::map<OutcomeClass, ItemSet> failed;    // of the terminal ones
  std::map<std::uint64_t, EndedParts> parts; // of items that have several
  std::vector<AttemptNote> attempts;         // newest per part that has not ended
  JobCounts counts;                          // completed, failed, attempts, ambiguous, late, tokens
  InputPosition low;
  // Coordinator crashes in a row while it ran and workers were there, between which nothing of it
  // was recorded.
  std::uint32_t crashes = 0;
  std::uint32_t probation_ends = 0; // … of them the last ones that found the same item out
  std::uint64_t mark = 0; // highest item + 1 that a block of the last epoch may have covered
  Usd money_watermark{}, money_assumed{}; // of the last notes
  std::vector<LearnedNote> learned;
  std::vector<AppendNote> appends; // of an open job, by their numbers
  bool is_closed = false;          // … and no more come
  ErrorList errors;                // as last noted
};

} // namespace gristmill::journal
