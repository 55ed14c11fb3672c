// The progress line: how far a job is, how fast, when it will end, and why it waits. On a terminal
// one line that is written over; elsewhere a plain line now and then.
// Invariant: a line never takes more columns than it is given, so that a terminal does not wrap it.
#pragma once

#include "actors/wiring/questions.hpp"

#include <chrono>
#include <string>

namespace gristmill::cli {

enum class ProgressMode : std::uint8_t { none, lines, terminal };
ProgressMode progress_mode_of_stderr();

// `rate`: items per second. Where not all fits, whole fields are left out, the least important
// first; only a reason and, at last, the count itself are cut.
std::string line_of(const wiring::JobView& job, double rate, std::size_t width, bool colour);

// How long until the next plain line: a log of a long job should not be made of them.
std::chrono::seconds line_gap(std::chrono::seconds since_begin);

// Items per second over the last seconds: exponentially weighted, so that a stall shows.
class Rate {
public:
  using Clock = std::chrono::steady_clock;
  double update(std::uint64_t done, Clock::time_point now);

private:
  Clock::time_point measured_at_{};
  std::uint64_t measured_ = 0;
  double rate_ = -1; // not measured yet
};

class Progress {
public:
  using Clock = std::chrono::steady_clock;
  explicit Progress(ProgressMode mode);
  ~Progress() { clear(); }

  void show(const wiring::JobView& job); // as often as there is news
  void clear();                          // so that something else may be printed

private:
  bool is_due(Clock::time_point now);

  ProgressMode mode_;
  bool colour_ = false;
  Clock::time_point begun_at_{}, shown_at_{};
  bool on_screen_ = false;
  Rate rate_;
};

} // namespace gristmill::cli
