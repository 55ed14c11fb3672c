// JOURNAL TABLES: everything that the journal remembers beside the result lines, in plain SQL that
// people and other programs may read once the coordinator is down (schema.hpp). Invariant: a group
// is one transaction.
#pragma once

#include "actors/journal/commit_row.hpp"
#include "actors/journal/journal_store.hpp"
#include "coordinator/journal/segment_writer.hpp"
#include "coordinator/journal/sqlite.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct EpochRow {
  Epoch epoch;
  std::string boot_id;
  std::int64_t started_at = 0; // unix seconds
  Time started{};
};

class JournalTables {
public:
  // Creates the tables in a new file; conflict if the file is another program's or version's.
  static Result<JournalTables> open(const std::string& path);

  Database& database() { return database_; }

  // To look at the tables of a coordinator that is down, as they are: nothing is written, not even
  // what stands in the log. The same errors as open().
  static Result<Database> open_to_look(const std::string& path);

  // Blocks that ended at or before their epoch's time are forgotten, and epochs that nothing needs,
  // the days are as they count on the epoch's boot, and the epoch is ours. `crashes`: in a row, of
  // each job that had any.
  Result<> begin_epoch(const EpochRow& row, const std::map<Epoch, Time>& blocks_over,
                       const std::map<JobId, std::uint32_t>& crashes,
                       const std::vector<journal::DayNote>& days);
  // Our epoch ends in order: it is no crash.
  Result<> end_epoch();

  struct JobRow {
    journal::CommitRow row;
    SegmentRange range, parts;
  };
  // After an error that passes the group is taken back and may come again; any other error is the
  // end.
  Result<> write(const journal::Group& group, const std::vector<JobRow>& rows);

  // Brings the log back into the file when it has grown long. An error means that the disk cannot
  // be trusted any more; a full disk is none, the log waits. `busy`: a group waits, and the log may
  // grow longer.
  Result<> tidy(bool busy);
  void close(bool write_log_back);

private:
  Result<> prepare();
  Result<> insert(const journal::Group& group, const std::vector<JobRow>& rows);
  Result<> insert(const journal::JobChange& change);
  Result<> insert(journal::Position position, const JobRow& row);
  Result<> insert(const journal::BlockNote& block);
  Result<> insert(const journal::MarkNote& note);
  Result<> insert(const journal::AppendNote& note);
  Result<> insert(const journal::SessionNote& note);
  Result<> insert(const journal::DayNote& note);
  Result<> insert(const journal::MoneyNote& note);
  Result<> insert(const journal::LearnedNote& note);
  Result<> insert(const journal::ErrorNote& note);
  Result<> forget(JobId job);

  Epoch epoch_;
  Time days_tidied_{Time::min()};
  Database database_;
  struct Statements;                // stand beside their texts
  std::shared_ptr<Statements> sql_; // by nobody else; of a type that is not known here
};

} // namespace gristmill::coordinator
