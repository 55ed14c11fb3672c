// SHARED WORDS: proves that coordinator and worker see the same directory. The coordinator writes a
// word into it when it starts, which no worker knows that does not read it there; a worker that
// does writes one of its own, which is looked for here, on a thread of its own.
// Invariant: a word is one life's; one that was left by another proves nothing.
#pragma once

#include "actors/coordinator/coordinator.hpp"
#include "actors/kit/shared_directory.hpp"

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

namespace gristmill::coordinator {

class SharedWords {
public:
  // `why_not`: a sentence; empty = the worker's word is there.
  using Checked = std::function<void(SessionId session, std::string why_not)>;
  // Our directory below the shared one has the name that stands in the state directory.
  static Result<std::unique_ptr<SharedWords>>
  open(const SharedDirectory& directory, const std::string& state_directory, Checked checked);
  ~SharedWords();

  const SharedPlace& place() const { return place_; }
  void check(SharedCheck check); // any thread

private:
  SharedWords(std::string path, SharedPlace place, Checked checked);
  void run();
  std::string why_not(const SharedCheck& check) const;

  std::string path_;
  SharedPlace place_;
  Checked checked_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<SharedCheck> waiting_; // one of each session
  bool ends_ = false;
  std::thread thread_;
};

} // namespace gristmill::coordinator
