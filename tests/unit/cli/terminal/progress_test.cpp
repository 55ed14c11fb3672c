// The progress line and what it is made of.
#include "cli/terminal/progress.hpp"
#include "cli/terminal/table.hpp"
#include "cli/terminal/text.hpp"

#include <catch2/catch.hpp>

namespace progress_test {

using namespace gristmill;
using namespace gristmill::cli;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t wide = 1'000;

wiring::JobView job_view() {
  wiring::JobView job;
  job.id = JobId{7};
  job.counts.total = 100'000;
  job.counts.total_known = true;
  job.counts.completed = 12'340;
  job.counts.failed = 5;
  job.counts.retrying = 2;
  job.counts.in_flight = 256;
  job.counts.prompt_tokens = 1'234'567;
  job.counts.completion_tokens = 9'876;
  return job;
}

std::string without_colours(std::string line) {
  for (auto at = line.find('\x1b'); at != line.npos; at = line.find('\x1b'))
    line.erase(at, line.find('m', at) - at + 1);
  return line;
}

} // namespace

TEST_CASE("The line says how far, how fast, until when, what failed and what it cost",
          "[progress]") {
  CHECK(line_of(job_view(), 823.4, wide, false) ==
        "12,345/100,000  12%  823/s  ETA 1m46s  failed 5  retrying 2  in flight 256  "
        "tokens 1,234,567 in 9,876 out  est. total 10,080,542 tokens");
  auto job = job_view();
  job.counts.total_known = false;
  CHECK(line_of(job, 0, wide, false).starts_with("12,345/100,000+  0/s  failed 5"));
  job = job_view();
  job.counts.completed = 99'994;
  CHECK(line_of(job, 3.25, wide, false).starts_with("99,999/100,000  99%  3.2/s  ETA 0s"));
  job.why_waiting = "tokens per minute";
  CHECK(line_of(job, 1, wide, false).ends_with("  waiting: tokens per minute"));
  job.state = JobState::paused;
  job.detail = "budget";
  CHECK(line_of(job, 1, wide, false).find("  paused: budget  ") != std::string::npos);
  CHECK(line_of(job, 1, wide, false).find("waiting") == std::string::npos);
  job = job_view();
  job.state = JobState::finished;
  job.counts.completed = 99'995;
  CHECK(line_of(job, 7, wide, false).starts_with("100,000/100,000  100%  finished  failed 5"));
}

TEST_CASE("While items are tried again the line says what they met, in the server's words",
          "[progress]") {
  auto job = job_view();
  job.errors = std::make_shared<const ErrorList>(
      ErrorList{{OutcomeClass::rate, "limit", 429, 300, 0, "slow down", "", "", 100}});
  CHECK(line_of(job, 1, wide, false).ends_with("  tried again after HTTP 429 limit: slow down"));
  CHECK(line_of(job, 1, wide, true).find("\x1b[33mtried again after") != std::string::npos);
  job.why_waiting = "whatever it is";
  CHECK(line_of(job, 1, wide, false).ends_with("  waiting: whatever it is"));
  job.why_waiting.clear();
  job.counts.retrying = 0;
  CHECK(line_of(job, 1, wide, false).find("tried again") == std::string::npos);
  job.counts.retrying = 2;
  job.state = JobState::finished;
  CHECK(line_of(job, 1, wide, false).find("tried again") == std::string::npos);
}

TEST_CASE("A line that fits is whole; one column less leaves out the least important field",
          "[progress]") {
  const std::string whole = line_of(job_view(), 823, wide, false);
  const std::size_t width = columns_of(whole);
  CHECK(line_of(job_view(), 823, width + 1, false) == whole);
  CHECK(line_of(job_view(), 823, width, false) == whole);
  const std::string less = line_of(job_view(), 823, width - 1, false);
  CHECK(less == whole.substr(0, whole.find("  est. total")));
}

TEST_CASE("A line is never wider than it may be, and loses whole fields in their order",
          "[progress]") {
  auto job = job_view();
  job.why_waiting = "der Endpunkt bat um Geduld – 请稍候 — " + std::string(300, 'x');
  std::size_t fields = 99;
  for (std::size_t width = 200; width > 0; --width) {
    const std::string line = line_of(job, 823, width, false);
    INFO(width << " " << line);
    CHECK(columns_of(line) <= width);
    CHECK(line_of(job, 823, width, true).size() >= line.size());
    CHECK(without_colours(line_of(job, 823, width, true)) == line);
    std::size_t now = 1;
    for (auto at = line.find("  "); at != line.npos; at = line.find("  ", at + 2)) ++now;
    CHECK(now <= fields);
    fields = now;
    if (width >= 14) CHECK(line.starts_with("12,345/100,000"));
  }
  CHECK(line_of(job, 823, 40, false) == "12,345/100,000  ETA 1m46s  failed 5");
  CHECK(line_of(job, 823, 13, false) == "12,345/100,0…");
}

TEST_CASE("Colour marks what failed and what waits, and nothing else", "[progress]") {
  auto job = job_view();
  CHECK(line_of(job, 1, wide, true).find("\x1b[31mfailed 5\x1b[0m") != std::string::npos);
  job.counts.failed = 0;
  CHECK(line_of(job, 1, wide, true).find('\x1b') == std::string::npos);
  job.why_waiting = "no worker is connected";
  CHECK(line_of(job, 1, wide, true).find("\x1b[33mwaiting: no worker is connected\x1b[0m") !=
        std::string::npos);
  CHECK(line_of(job, 1, wide, false).find('\x1b') == std::string::npos);
}

TEST_CASE("In a log the lines come every five seconds for a minute, then every thirty",
          "[progress]") {
  CHECK(line_gap(0s) == 5s);
  CHECK(line_gap(59s) == 5s);
  CHECK(line_gap(60s) == 30s);
  CHECK(line_gap(61s) == 30s);
}

TEST_CASE("The rate follows what was done, and falls when nothing is", "[progress]") {
  Rate rate;
  auto now = Rate::Clock::time_point{} + 1h;
  CHECK(rate.update(1'000, now) == 0); // what was there before
  CHECK(rate.update(1'040, now + 499ms) == 0);
  CHECK(rate.update(1'050, now + 500ms) == Approx(100));
  double last = 100;
  for (int second = 1; second <= 20; ++second) {
    const double current = rate.update(1'050, now + 500ms + std::chrono::seconds{second});
    CHECK(current < last);
    last = current;
  }
  CHECK(last < 3);
}

TEST_CASE("Text is cut between characters, by the columns that a terminal shows", "[progress]") {
  CHECK(columns_of("abc") == 3);
  CHECK(columns_of("äöü") == 3);
  CHECK(columns_of("e\u0301") == 1);
  CHECK(columns_of("磨坊") == 4);
  CHECK(columns_of("\xff\xe4") == 2);
  CHECK(cut_to("abcdef", 7) == "abcdef");
  CHECK(cut_to("abcdef", 6) == "abcdef");
  CHECK(cut_to("abcdef", 5) == "abcd…");
  CHECK(cut_to("äöüß", 3) == "äö…");
  CHECK(cut_to("磨坊主", 5) == "磨坊…");
  CHECK(cut_to("磨坊主", 4) == "磨…"); // half a character is none
  CHECK(cut_to("abc", 1) == "…");
  CHECK(cut_to("abc", 0).empty());
}

TEST_CASE("Numbers, times and money as people read them", "[progress]") {
  CHECK(grouped(0) == "0");
  CHECK(grouped(999) == "999");
  CHECK(grouped(1'000) == "1,000");
  CHECK(grouped(1'234'567) == "1,234,567");
  CHECK(time_span(-1) == "0s");
  CHECK(time_span(59.9) == "59s");
  CHECK(time_span(60) == "1m00s");
  CHECK(time_span(3'599) == "59m59s");
  CHECK(time_span(3'600) == "1h00m");
  CHECK(time_span(360'000) == "4d04h");
  CHECK(dollars(0.00421) == "$0.0042");
  CHECK(dollars(12.345) == "$12.35");
  CHECK(dollars(1'999.6) == "$2,000");
}

TEST_CASE("A table's columns are as wide as what they show, numbers to the right", "[progress]") {
  CHECK(table({{"NAME", "N"}, {"müller", "7"}, {"磨坊", "1,024"}}) == "NAME        N\n"
                                                                      "müller      7\n"
                                                                      "磨坊    1,024\n");
  CHECK(table({{"SESSION", "N"}, {"1-1", "-"}, {"1-10", "-3"}}) == "SESSION   N\n"
                                                                   "1-1       -\n"
                                                                   "1-10     -3\n");
  CHECK(table({{"NAME", "N"}}) == "NAME  N\n");
}

} // namespace progress_test
