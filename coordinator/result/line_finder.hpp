// LINE FINDER: the recorded line of one item, for whoever asks what became of it. Where it lies is
// not in memory: the job's segments are looked through, the newest first, on a thread of their own,
// so that neither the journal nor other clients wait for it.
// Invariant: of several lines of an item the last one is found, which is the one that holds.
#pragma once

#include "actors/journal/journal_store.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace gristmill::coordinator {

struct LineWanted {
  JobId job;
  std::string custom_id; // empty: the item of that number
  std::uint64_t item = 0;
};

struct FoundLine {
  std::string line; // without its newline
  std::string path; // of its segment
  std::uint64_t offset = 0;
};

using LineSearch = Result<std::optional<FoundLine>>;
LineSearch find_line(const std::vector<journal::Segment>& segments, const LineWanted& wanted);

class LineFinder {
public:
  LineFinder();
  ~LineFinder(); // what still waits is not answered
  // False: as many are looked for as may wait.
  bool find(std::vector<journal::Segment> segments, LineWanted wanted,
            std::function<void(LineSearch)> then);

private:
  static constexpr std::size_t waiting_max = 32;
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> searches_;
  bool ends_ = false;
  std::thread thread_;
};

} // namespace gristmill::coordinator
