// The progress line: how far a job is, how fast, when it will end, and why it waits. On a terminal
// one line that is written over; elsewhere a plain line now and then.
#pragma once

#include "actors/wiring/message.hpp"

#include <chrono>
#include <string>

namespace gristmill::cli {

enum class ProgressMode : std::uint8_t { none, lines, terminal };
ProgressMode progress_mode_of_stderr();

class Progress {
public:
  using Clock = std::chrono::steady_clock;
  explicit Progress(ProgressMode mode) : mode_{mode} {}
  ~Progress() { clear(); }

  void show(const wiring::JobView& job); // as often as there is news
  void clear();                          // so that something else may be printed

private:
  std::string line_of(const wiring::JobView& job) const;
  double rate(std::uint64_t done);

  ProgressMode mode_;
  Clock::time_point shown_at_{};
  bool on_screen_ = false;
  // Rate over the last seconds: exponentially weighted, so that a stall shows.
  Clock::time_point measured_at_{};
  std::uint64_t measured_ = 0;
  double rate_ = -1;
};

} // namespace gristmill::cli
