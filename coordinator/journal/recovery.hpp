// JOURNAL RECOVERY: what a start learns from the tables about the lives before it. Everything about
// a job comes from its rows alone; no result line is read. Invariant: a journal that contradicts
// itself is refused, with the row that does.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "coordinator/journal/answer_index.hpp"
#include "coordinator/journal/part_index.hpp"
#include "coordinator/journal/segment_writer.hpp"
#include "coordinator/journal/sqlite.hpp"

#include <map>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct JournalContent {
  journal::Recovered recovered; // with the next epoch's number
  std::vector<JobSegments> segments;
  PartIndex parts;
  std::map<JobId, std::uint32_t> crashes; // those of the jobs, where there are any
  std::map<Epoch, Time> blocks_over;      // blocks of the epoch that ended by then may be forgotten
};

// What the journal holds of one job, now. `answers`, here and below: is told of jobs that go on.
Result<journal::RecoveredJob> read_journal_job(Database& database, JobId job,
                                               AnswerIndex* answers = nullptr);

Result<JournalContent> read_journal(Database& database, const std::string& boot_id, Time now,
                                    AnswerIndex* answers = nullptr);

} // namespace gristmill::coordinator
