// SWEEPER: removes directories that nobody needs any more, on a thread of its own, because a
// hundred gigabytes take their time and nothing waits for it. What cannot be removed is said in the
// log and stays: the next start finds it again. Invariant: its end does not wait for more than the
// directory entry that is being removed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <system_error>
#include <thread>

namespace gristmill::coordinator {

// Removes a directory and all that is in it. One that is not there is no error.
std::error_code remove_tree(const std::string& path);

class Sweeper {
public:
  explicit Sweeper(std::function<std::error_code(const std::string&)> remove);
  ~Sweeper();  // stops
  void stop(); // leaves what is not removed yet; nothing is removed from then on

  // Any thread. An empty path is nothing.
  void remove(std::string path);

private:
  void run();
  std::error_code remove_slowly(const std::string& directory);

  std::function<std::error_code(const std::string&)> remove_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::string> paths_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

} // namespace gristmill::coordinator
