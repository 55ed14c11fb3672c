// SQLITE STORE: the journal's window on a real disk. Result lines go to segments, everything else
// into one SQLite transaction a group, in that order, both synced; a thread of its own does it, so
// that no room ever waits for a disk.
//
//   commit -> lines to segments -> sync -> transaction -> fsync -> durable
//                  |  no space or descriptor: lines cut, transaction rolled back -> failed, go on
//                  |  anything else                                 -> failed(io), for good
//
// Invariant: after a failed sync nothing is written any more; the next start finds the truth.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "actors/journal/line_store.hpp"
#include "actors/kit/clock.hpp"
#include "coordinator/disk/file_identity.hpp"
#include "coordinator/disk/state_directory.hpp"
#include "coordinator/disk/sweeper.hpp"
#include "coordinator/journal/answer_index.hpp"
#include "coordinator/journal/part_index.hpp"
#include "coordinator/journal/segment_writer.hpp"
#include "coordinator/journal/tables.hpp"

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::coordinator {

struct SqliteStoreOptions {
  std::string directory;
  std::uint64_t store_bytes_per_segment = 64u
                                          << 20; // a segment ends with the group that reaches it
  std::string boot_id = gristmill::boot_id();
  Time now = boot_now();
  DiskCalls disk_calls;
  // Of answers, where a directory is shared.
  std::function<Result<std::shared_ptr<SharedAnswers>>()> open_bodies = {};
};

class SqliteStore final : public journal::JournalStore, public journal::LineStore {
public:
  // Takes the directory for this process, fills `recovered`, and has the new epoch on disk before
  // it returns. The events come from the store's thread, which must not call close.
  static Result<std::unique_ptr<SqliteStore>>
  open(SqliteStoreOptions options, journal::JournalEvents events, journal::Recovered& recovered);
  ~SqliteStore() override; // closes

  void commit(journal::Group group) override;
  void read_job(JobId job) override;

  Result<std::vector<journal::PartLine>> parts_of(JobId job, std::uint64_t item,
                                                  std::uint32_t first = 0,
                                                  std::uint32_t last = ~0u) override;
  Result<std::optional<std::string>> answer_to(JobId job, const RequestKey& key) override;
  // Has all that `durable` announced.
  Result<std::shared_ptr<journal::JobLines>> lines_of(JobId job, LineKind kind) const override;

  void close(bool in_order = false) override; // leaves one tidy file

private:
  SqliteStore(StateDirectory directory, JournalTables tables, SqliteStoreOptions options,
              journal::JournalEvents events, std::unique_ptr<AnswerIndex> answers,
              std::shared_ptr<SharedAnswers> bodies);
  Result<> sweep_answers(const std::vector<journal::RecoveredJob>& jobs);
  void index_answers_again(const journal::JobChange& change);
  void run();
  void carry_out(journal::Group group);
  Result<> write(const journal::Group& group);
  Result<> append_and_insert(const journal::Group& group);
  void publish_if_due();
  bool is_busy();

  StateDirectory directory_;
  JournalTables tables_;
  Sweeper sweeper_;
  std::shared_ptr<SharedAnswers> bodies_;
  FileIdentity journal_file_; // looked at before each group
  SegmentWriter segments_;
  PartIndex parts_;                      // under mutex_
  std::unique_ptr<AnswerIndex> answers_; // of jobs that are not over
  std::set<JobId> unindexed_;            // of the others, which may yet go on
  DiskCalls disk_calls_;
  journal::JournalEvents events_;
  Time published_{};
  std::optional<Error> broken_; // the store's thread only, like all above

  std::mutex mutex_;
  std::condition_variable wake_;
  std::optional<journal::Group> waiting_;
  std::vector<JobId> to_read_;
  bool in_flight_ = false, closing_ = false, in_order_ = false;
  std::thread thread_;
};

} // namespace gristmill::coordinator
