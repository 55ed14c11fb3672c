#include "cli/terminal/progress.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/terminal/money.hpp"
#include "cli/terminal/text.hpp"
#include "protocol/job/estimate.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <limits>
#include <sys/ioctl.h>
#include <unistd.h>
#include <vector>

namespace gristmill::cli {
namespace {

constexpr auto terminal_every = std::chrono::milliseconds{200};
constexpr auto line_every = std::chrono::seconds{5}, later_line_every = std::chrono::seconds{30};
constexpr auto beginning = std::chrono::minutes{1};
constexpr std::size_t unbounded = std::numeric_limits<std::size_t>::max();
constexpr std::size_t reason_columns_min = 20;
constexpr std::string_view between = "  ", red = "\x1b[31m", yellow = "\x1b[33m", plain = "\x1b[0m";

struct Field {
  std::string text;
  int rank; // the highest is left out first
  std::string_view colour = {};
};

std::size_t terminal_width() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1) return size.ws_col;
  return 80;
}

// A reason may be as long as it likes, the line not.
std::string reason(std::string_view text, std::size_t width) {
  const std::string shown = json::printable(text, text.npos);
  return cut_to(shown, std::max(reason_columns_min, width == unbounded ? unbounded : width / 3));
}

std::vector<Field> fields_of(const wiring::JobView& job, double rate, std::size_t width) {
  const JobCounts& c = job.counts;
  std::vector<Field> fields;
  // Until the input has been read to its end its size is a lower bound.
  fields.push_back(
      {fmt::format("{}/{}{}", grouped(c.terminal()), grouped(c.total), c.total_known ? "" : "+"),
       0});
  const auto share =
      static_cast<double>(c.terminal()) / static_cast<double>(std::max<std::uint64_t>(c.total, 1));
  if (c.total_known && c.total > 0)
    // Nothing but the end is the whole.
    fields.push_back({fmt::format("{}%", static_cast<int>(100 * share)), 5});
  if (c.cached > 0) fields.push_back({"cached " + grouped(c.cached), 6});
  if (c.parts > 0) fields.push_back({"parts " + grouped(c.parts), 6});
  if (job.state != JobState::running)
    fields.push_back({reason(fmt::format("{}{}{}", name_of(job.state),
                                         job.detail.empty() ? "" : ": ", job.detail),
                             width),
                      1, yellow});
  if (!is_over(job.state))
    fields.push_back({fmt::format("{:.{}f}/s", rate, rate < 9.95 && rate > 0 ? 1 : 0), 6});
  if (c.total_known && rate > 0 && c.total > c.terminal())
    fields.push_back({"ETA " + time_span(static_cast<double>(c.total - c.terminal()) / rate), 2});
  fields.push_back({"failed " + grouped(c.failed), c.failed > 0 ? 3 : 10,
                    c.failed > 0 ? red : std::string_view{}});
  fields.push_back({"retrying " + grouped(c.retrying), c.retrying > 0 ? 8 : 11});
  fields.push_back({"in flight " + grouped(c.in_flight), 7});
  fields.push_back(
      {fmt::format("tokens {} in {} out", grouped(c.prompt_tokens), grouped(c.completion_tokens)),
       9});
  if (c.cost || job.budget) fields.push_back({and_cost_of(c.cost, job.budget, ""), 7});
  if (const auto total = estimate_of(c); total && !is_over(job.state))
    fields.push_back({total->cost
                          ? "est. total " + and_cost(total->cost, "")
                          : fmt::format("est. total {} tokens",
                                        grouped(total->prompt_tokens + total->completion_tokens)),
                      12});
  const bool waits = !job.why_waiting.empty() && job.state == JobState::running;
  if (waits) fields.push_back({reason("waiting: " + job.why_waiting, width), 4, yellow});
  // A job that waits says of what it met as much as has to do with that.
  if (const CountedError* met = job.errors ? of_late(*job.errors) : nullptr;
      met != nullptr && !waits && c.retrying > 0 && !is_over(job.state))
    fields.push_back({reason("tried again after " + said(*met), width), 4, yellow});
  return fields;
}

std::size_t width_of(const std::vector<Field>& fields) {
  std::size_t columns = between.size() * (fields.size() - 1);
  for (const Field& field : fields) columns += columns_of(field.text);
  return columns;
}

std::string painted(const Field& field, bool colour) {
  if (!colour || field.colour.empty()) return field.text;
  return fmt::format("{}{}{}", field.colour, field.text, plain);
}

bool wants_colour() {
  const char* refused = std::getenv("NO_COLOR");
  return refused == nullptr || *refused == '\0';
}

} // namespace

ProgressMode progress_mode_of_stderr() {
  const char* term = std::getenv("TERM");
  const bool dumb = term == nullptr || std::string_view{term} == "dumb";
  return isatty(STDERR_FILENO) != 0 && !dumb ? ProgressMode::terminal : ProgressMode::lines;
}

std::string line_of(const wiring::JobView& job, double rate, std::size_t width, bool colour) {
  std::vector<Field> fields = fields_of(job, rate, width);
  while (fields.size() > 1 && width_of(fields) > width)
    fields.erase(std::max_element(fields.begin(), fields.end(),
                                  [](const Field& a, const Field& b) { return a.rank < b.rank; }));
  fields.front().text = cut_to(fields.front().text, width);
  std::string line;
  for (const Field& field : fields)
    line += (line.empty() ? "" : std::string{between}) + painted(field, colour);
  return line;
}

std::chrono::seconds line_gap(std::chrono::seconds since_begin) {
  return since_begin < beginning ? line_every : later_line_every;
}

double Rate::update(std::uint64_t done, Clock::time_point now) {
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

Progress::Progress(ProgressMode mode)
    : mode_{mode}, colour_{mode == ProgressMode::terminal && wants_colour()} {}

bool Progress::is_due(Clock::time_point now) {
  const bool first = begun_at_ == Clock::time_point{};
  if (first) begun_at_ = now;
  const auto since_begin = std::chrono::duration_cast<std::chrono::seconds>(now - begun_at_);
  const auto every = mode_ == ProgressMode::terminal ? Clock::duration{terminal_every}
                                                     : Clock::duration{line_gap(since_begin)};
  if (!first && now - shown_at_ < every) return false;
  shown_at_ = now;
  return true;
}

void Progress::show(const wiring::JobView& job) {
  if (mode_ == ProgressMode::none) return;
  const auto now = Clock::now();
  const double rate = rate_.update(job.counts.terminal(), now);
  if (!is_due(now)) return;
  if (mode_ == ProgressMode::terminal) {
    // The last column stays free: some terminals wrap as soon as it is written.
    paint("\r\x1b[K" + line_of(job, rate, terminal_width() - 1, colour_));
    on_screen_ = true;
  } else {
    say(line_of(job, rate, unbounded, false) + "\n");
  }
  std::fflush(stderr);
}

void Progress::clear() {
  if (!on_screen_) return;
  paint("\r\x1b[K");
  std::fflush(stderr);
  on_screen_ = false;
}

} // namespace gristmill::cli
