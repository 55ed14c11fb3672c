// LINE FINDER: the recorded line of one item, for whoever asks what became of it. Where it lies is
// not in memory: the job's segments are looked through, the newest first and piece by piece, on a
// thread of their own, so that neither the journal nor other clients wait for it.
// Invariant: of several lines of an item the last one is found, which is the one that holds.
#pragma once

#include "actors/journal/line_store.hpp"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace gristmill::coordinator {

struct LineWanted {
  JobId job;
  std::string custom_id; // empty: the item of that number
  std::uint64_t item = 0;
};

struct FoundLine {
  std::string line;  // without its newline
  std::string place; // of its segment, for people
  std::uint64_t offset = 0;
};

using LineSearch = Result<std::optional<FoundLine>>;
// Bytes in memory at a time; more where a line is longer.
inline constexpr std::size_t looked_through_at_once = 1u << 20;
LineSearch find_line(journal::JobLines& lines, const LineWanted& wanted,
                     std::size_t piece_bytes = looked_through_at_once);

class LineFinder {
public:
  LineFinder();
  ~LineFinder(); // what still waits is not answered
  // False: as many are looked for as may wait.
  bool find(std::shared_ptr<journal::JobLines> lines, LineWanted wanted,
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
