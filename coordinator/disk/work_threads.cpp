#include "coordinator/disk/work_threads.hpp"

#include "actors/kit/guarded_thread.hpp"

#include <utility>

namespace gristmill::coordinator {

WorkThreads::WorkThreads(std::string_view name, std::size_t threads) {
  for (std::size_t n = 0; n < threads; ++n)
    threads_.push_back(guarded_thread(name, [this] { run(); }));
}

WorkThreads::~WorkThreads() {
  {
    const std::lock_guard lock{mutex_};
    ends_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void WorkThreads::order(std::function<void()> work) {
  {
    const std::lock_guard lock{mutex_};
    orders_.push_back(std::move(work));
  }
  changed_.notify_one();
}

void WorkThreads::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return ends_ || !orders_.empty(); });
    if (ends_) return;
    auto work = std::move(orders_.front());
    orders_.pop_front();
    lock.unlock();
    work();
    work = nullptr; // what it holds may take long to remove, too
    lock.lock();
  }
}

} // namespace gristmill::coordinator
