#include "cli/progress.hpp"

#include "cli/money.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace gristmill::cli {
namespace {

constexpr auto terminal_every = std::chrono::milliseconds{200};
constexpr auto line_every = std::chrono::seconds{5};

std::string grouped(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (auto at = static_cast<std::ptrdiff_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), ",");
  return digits;
}

std::string span(double seconds) {
  const auto s = static_cast<std::uint64_t>(std::max(seconds, 0.0));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3'600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3'600, s / 60 % 60);
}

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

} // namespace

ProgressMode progress_mode_of_stderr() {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view{term} == "dumb";
  return isatty(STDERR_FILENO) != 0 && !dumb ? ProgressMode::terminal : ProgressMode::lines;
}

double Progress::rate(std::uint64_t done) {
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - measured_at_).count();
  if (measured_at_ == Clock::time_point{}) {
    measured_at_ = now;
    measured_ = done;
  } else if (seconds >= 0.5) {
    const double current = static_cast<double>(done - std::min(done, measured_)) / seconds;
    const double weight = rate_ < 0 ? 1 : 1 - std::exp(-seconds / 5);
    rate_ = std::max(rate_, 0.0) + weight * (current - std::max(rate_, 0.0));
    measured_at_ = now;
    measured_ = done;
  }
  return std::max(rate_, 0.0);
}

std::string Progress::line_of(const wiring::JobView& job) const {
  const JobCounts& c = job.counts;
  std::string line = grouped(c.terminal());
  // Until the input has been read to its end its size is a lower bound.
  line += c.total_known ? "/" + grouped(c.total) : fmt::format("/{}+", grouped(c.total));
  if (c.total_known && c.total > 0)
    line += fmt::format(" {:.0f}%", 100.0 * static_cast<double>(c.terminal()) / static_cast<double>(c.total));
  line += fmt::format("  {:.0f}/s", std::max(rate_, 0.0));
  if (c.total_known && rate_ > 0 && c.total > c.terminal())
    line += "  ETA " + span(static_cast<double>(c.total - c.terminal()) / rate_);
  line += fmt::format("  failed {}  retrying {}  in flight {}", grouped(c.failed), grouped(c.retrying),
                      grouped(c.in_flight));
  line += fmt::format("  tokens {} in {} out", grouped(c.prompt_tokens), grouped(c.completion_tokens));
  line += and_cost(c.cost_nano_usd, "  ");
  if (job.state != JobState::running) line += fmt::format("  {}", name_of(job.state));
  if (!job.why_waiting.empty() && job.state == JobState::running)
    line += "  waiting: " + job.why_waiting;
  return line;
}

void Progress::show(const wiring::JobView& job) {
  if (mode_ == ProgressMode::none) return;
  rate(job.counts.terminal());
  const auto now = Clock::now();
  const auto every = mode_ == ProgressMode::terminal ? Clock::duration{terminal_every}
                                                     : Clock::duration{line_every};
  if (shown_at_ != Clock::time_point{} && now - shown_at_ < every) return;
  shown_at_ = now;
  std::string line = line_of(job);
  if (mode_ == ProgressMode::terminal) {
    line.resize(std::min(line.size(), terminal_width() - 1));
    std::fputs(("\r\x1b[K" + line).c_str(), stderr);
    on_screen_ = true;
  } else {
    std::fputs((line + "\n").c_str(), stderr);
  }
  std::fflush(stderr);
}

void Progress::clear() {
  if (!on_screen_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  on_screen_ = false;
}

} // namespace gristmill::cli
