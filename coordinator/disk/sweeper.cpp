#include "coordinator/disk/sweeper.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "actors/kit/log.hpp"

#include <filesystem>
#include <utility>

namespace gristmill::coordinator {

namespace fs = std::filesystem;

std::error_code remove_tree(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error;
}

Sweeper::Sweeper(std::function<std::error_code(const std::string&)> remove)
    : remove_{std::move(remove)}, thread_{guarded_thread("sweeper", [this] { run(); })} {}

Sweeper::~Sweeper() {
  stop();
}

void Sweeper::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard guard{mutex_};
    stopping_ = true;
    wake_.notify_one();
  }
  thread_.join();
}

void Sweeper::remove(std::string path) {
  if (path.empty()) return;
  const std::lock_guard guard{mutex_};
  paths_.push_back(std::move(path));
  wake_.notify_one();
}

void Sweeper::run() {
  while (true) {
    std::string path;
    {
      std::unique_lock lock{mutex_};
      wake_.wait(lock, [this] { return stopping_ || !paths_.empty(); });
      if (stopping_) return;
      path = std::move(paths_.front());
      paths_.pop_front();
    }
    if (const std::error_code error = remove_slowly(path))
      log_event("store", {"directory.kept",
                          {{"path", path},
                           {"why", error.message()},
                           {"hint", "nothing needs it: remove it by hand, or start again"}},
                          true});
  }
}

// Entry by entry, so that an end does not wait for all of them.
std::error_code Sweeper::remove_slowly(const std::string& directory) {
  std::error_code error, first;
  for (fs::directory_iterator entry{directory, error}, end; !error && entry != end && !stopping_;
       entry.increment(error))
    if (const auto kept = remove_(entry->path().string()); kept && !first) first = kept;
  if (first || error) return first ? first : error;
  return stopping_ ? std::error_code{} : remove_(directory);
}

} // namespace gristmill::coordinator
