// JOURNAL STORE: the window to what remembers. It takes one group at a time, rows and lines, makes
// all of it durable or none, and says so once: what a row says of lines holds because both become
// durable together. Lines are read through LineStore. Invariant: a position is announced only
// after everything up to it would survive a power cut.
#pragma once

#include "actors/words/records.hpp"
#include "actors/words/recovered_job.hpp"
#include "protocol/result.hpp"

#include <functional>

namespace gristmill::journal {

struct Recovered {
  Epoch epoch;            // ours: one more than the last, durable already
  bool same_boot = false; // BootClock values below are comparable with now
  Position last_position = 0;
  std::vector<RecoveredJob> jobs;
  JobId last_forgotten;          // the highest one: no number is given to two jobs
  std::vector<BlockNote> blocks; // those whose hold may not be over; newest last; of any epoch
  std::vector<DayNote> days;     // that are not over, by this boot's clock
  std::vector<ConcurrencyNote> concurrency; // the newest of each account, oldest first
  std::vector<SessionNote> sessions;        // open at the crash
};

class JournalStore {
public:
  virtual ~JournalStore() = default;
  // Any thread. One group at a time: the next only after `durable` or `failed`.
  virtual void commit(Group group) = 0;
  // Any thread. What it holds of a job comes as `read`.
  virtual void read_job(JobId job) = 0;
  // Finishes the group in flight. Nothing may be committed afterwards; what is there stays ours
  // until the store is gone. In order: what follows is no crash.
  virtual void close(bool in_order) = 0;
};

struct JournalEvents {
  std::function<void(Position)> durable; // called on the store's thread
  // Nothing of the group is promised. After disk_full it may be committed again, anything else is
  // for good.
  std::function<void(Error, Group)> failed;
  std::function<void(JobId, Result<RecoveredJob>)> read{};
};

} // namespace gristmill::journal
