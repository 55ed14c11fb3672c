// JOURNAL CHECK: reads the state directory of a coordinator that is down and says what is in it and
// whether it can be relied on: the database page by page, every row against the others, every
// result line against its row and its own checksum. For `gristmill journal`. Invariant: nothing is
// changed but the lock, which is held while looking.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "coordinator/disk/state_directory.hpp"
#include "coordinator/journal/part_index.hpp"
#include "coordinator/journal/segment_files.hpp"
#include "coordinator/journal/sqlite.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace gristmill::coordinator {

// One row of the table `commits`: what one group said about one job.
struct CommitView {
  journal::Position position = 0;
  Epoch epoch;
  JobId job;
  SegmentRange lines, parts;
  std::uint64_t reopened = 0, completed = 0, failed = 0, attempts = 0, low_item = 0;
  std::string items; // in the grammar of commit_row.hpp
  const SegmentRange& range(LineKind kind) const { return kind == LineKind::parts ? parts : lines; }
};

struct JournalFindings {
  std::uint64_t commits = 0, lines = 0, line_bytes = 0; // that were looked at
  std::vector<std::string> faults;                      // the first faults_max of them
  std::uint64_t more_faults = 0;
  std::vector<std::string> notes; // what is odd and harmless

  static constexpr std::size_t faults_max = 100;
  void add(std::string fault);
};

class JournalCheck {
public:
  // not_found, when there is no journal; else as take_state_directory and JournalTables::open.
  static Result<JournalCheck> open(const std::string& directory);

  // The whole state as the next start would find it. Errors: a journal that contradicts itself.
  Result<journal::Recovered> recovered();
  // Every commit, oldest first, until `use` returns false.
  Result<> commits(const std::function<bool(const CommitView&)>& use);
  Result<JournalFindings> verify();

private:
  JournalCheck(StateDirectory directory, Database database)
      : directory_{std::move(directory)}, database_{std::move(database)} {}
  std::string place_of(const std::string& job_directory) const;
  Result<> check_pages(JournalFindings& findings);
  void check_lines(const std::string& job_directory, LineKind kind, const CommitView& commit,
                   const PartIndex& parts, JournalFindings& findings);
  std::string fault_of_join(std::string_view line, const std::string& job_directory,
                            const PartPlaces& places);

  StateDirectory directory_;
  Database database_;
};

} // namespace gristmill::coordinator
