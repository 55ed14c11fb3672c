// DISK SHARED STORE: the shared directory as a worker has it. One thread reads, because a document
// is waited for by its call; another writes bodies and syncs them, many with one sync, as many as
// came while the last one took. Invariant: a place is told when its bytes would survive a power
// cut.
#pragma once

#include "actors/kit/shared_directory.hpp"
#include "actors/worker/shared_store.hpp"

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::worker {

class DiskSharedStore final : public SharedStore {
public:
  DiskSharedStore(SharedDirectory directory, SharedStoreEvents events);
  ~DiskSharedStore() override;

  void prove(SharedTask task) override;
  void store(std::vector<BodyToStore> bodies) override;
  void load(std::vector<TextsToLoad> calls) override;

  static constexpr std::size_t open_files_max = 32; // of each kind

private:
  struct Growing {
    SharedFile file; // may be closed
    std::uint64_t bytes = 0;
  };
  // Of one session and what it was told.
  template <class Work> struct OfSession {
    SharedTask task;
    std::vector<Work> work;
  };
  // A queue and its thread, which takes all of one session that has come.
  template <class Work> struct Line {
    std::condition_variable wake;
    std::deque<OfSession<Work>> waiting;
    std::thread thread;
    void add(const SharedTask& task, std::vector<Work> work);
  };
  template <class Work> bool take(Line<Work>& line, OfSession<Work>& taken);
  void read();
  void write();
  ProvedShared prove_now(const SharedTask& task) const;
  TextsLoaded load_now(const SharedTask& task, const TextsToLoad& call);
  Result<std::string> text_of(const protocol::SharedRange& range);
  Result<Growing*> file_of(const SharedTask& task, JobId job);
  Result<> make_place();
  Result<protocol::StoredBody> append(const SharedTask& task, const BodyToStore& body);
  std::vector<BodyStored> store_now(const OfSession<BodyToStore>& group);

  SharedDirectory directory_;
  SharedStoreEvents events_;
  std::map<std::string, SharedFile> open_; // the reading thread's
  SessionId writing_for_;                  // the writing thread's, as the rest
  std::map<JobId, Growing> growing_;
  std::string broken_; // why nothing more is written for this session

  std::mutex mutex_;
  bool ends_ = false;
  SharedTask task_;
  Line<TextsToLoad> reads_; // without any text: prove
  Line<BodyToStore> writes_;
};

} // namespace gristmill::worker
