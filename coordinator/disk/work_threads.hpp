// WORK THREADS: some threads that do, one after the other, what would make whoever asks for it wait
// for a disk. Work that is still waiting when they end is dropped, and what it holds with it, by
// whoever ends them. Invariant: work begins in the order in which it was asked for.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>
#include <vector>

namespace gristmill::coordinator {

class WorkThreads {
public:
  WorkThreads(std::string_view name, std::size_t threads); // `name` outlives them
  ~WorkThreads();                                          // after what is under way

  // Any thread.
  void order(std::function<void()> work);

private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> orders_;
  bool ends_ = false;
  std::vector<std::thread> threads_;
};

} // namespace gristmill::coordinator
