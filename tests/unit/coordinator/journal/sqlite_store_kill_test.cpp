#include "actors/kit/random.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <algorithm>
#include <csignal>
#include <map>
#include <sys/wait.h>

namespace sqlite_store_kill_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

// Commits to two jobs until it is killed, and says each durable position through the pipe.
[[noreturn]] void commit_until_killed(const SqliteStoreOptions& options, int pipe) noexcept {
  Opened journal{options};
  if (!journal.store) ::_exit(1);
  for (Position upto = journal.recovered.last_position + 1;; ++upto) {
    Group group = group_of(upto, {});
    if (upto == 1) group.jobs = {new_job(1, ""), new_job(2, "jobs/2")};
    for (std::uint64_t n = 0; n < 4; ++n)
      group.lines.push_back(line(upto % 3 == 0 ? 2 : 1, upto * 4 + n));
    if (!journal.commit(std::move(group))) ::_exit(2);
    if (::write(pipe, &upto, sizeof upto) != sizeof upto) ::_exit(3);
  }
}

// Where a life ends: killed from outside, or by itself at a point that a kill seldom meets.
enum class Death { outside, in_the_middle_of_a_line, between_line_and_row };

void die_in_call(SqliteStoreOptions& options, Death death, std::uint64_t call) {
  if (death == Death::in_the_middle_of_a_line)
    options.disk_calls.pwrite = [call](int fd, const void* data, std::size_t size,
                                       off_t offset) mutable {
      const ssize_t written = ::pwrite(fd, data, call == 0 ? size - 5 : size, offset);
      if (call-- == 0) ::raise(SIGKILL);
      return written;
    };
  if (death == Death::between_line_and_row)
    options.disk_calls.fdatasync = [call](int fd) mutable {
      const int synced = ::fdatasync(fd);
      if (call-- == 0) ::raise(SIGKILL);
      return synced;
    };
}

// Kills the child a little after `acks` positions, unless it dies before; returns the last one that
// it announced.
Position run_and_kill(const SqliteStoreOptions& options, std::uint64_t acks, Duration later) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) commit_until_killed(options, pipe[1]);
  ::close(pipe[1]);
  Position last = 0, announced = 0;
  while (acks-- > 0 && ::read(pipe[0], &announced, sizeof announced) == sizeof announced)
    last = announced;
  for (const Time until = boot_now() + later; boot_now() < until;) {
  }
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  while (::read(pipe[0], &announced, sizeof announced) == sizeof announced) last = announced;
  ::close(pipe[0]);
  REQUIRE(WIFSIGNALED(status));
  return last;
}

std::map<std::string, std::uintmax_t> segment_sizes(const std::string& directory) {
  std::map<std::string, std::uintmax_t> sizes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{directory})
    if (entry.path().extension() == ".jsonl") sizes[entry.path()] = entry.file_size();
  return sizes;
}

// Every line of groups 1 to `last` of the job, once, in order.
std::string expected_results(std::uint32_t job, Position last) {
  std::string all;
  for (Position upto = 1; upto <= last; ++upto)
    for (std::uint64_t n = 0; n < 4; ++n)
      if ((upto % 3 == 0 ? 2u : 1u) == job) all += line(job, upto * 4 + n).line + "\n";
  return all;
}

} // namespace

TEST_CASE("whatever was announced survives kill -9 at any moment, and nothing else is visible") {
  const TempDirectory temp;
  auto options = Opened::options_for(temp / "state");
  options.store_bytes_per_segment = 4'000;
  Random random{2026};
  for (int cycle = 0; cycle < 45; ++cycle) {
    const Death death{cycle % 3};
    const std::uint64_t acks = 1 + random.below(40);
    auto mortal = options;
    die_in_call(mortal, death, acks);
    const Position announced = run_and_kill(mortal, death == Death::outside ? acks : acks + 1,
                                            std::chrono::microseconds{random.below(3'000)});
    const auto before = segment_sizes(temp / "state");
    const Opened journal{options};
    INFO(journal.error.message);
    REQUIRE(journal.store);
    const Position last = journal.recovered.last_position;
    REQUIRE(last >= announced);
    REQUIRE(last <= announced + 1);
    for (const std::uint32_t job : {1u, 2u}) {
      if (job == 2 && last < 3) continue;
      const std::string expected = expected_results(job, last);
      REQUIRE(results_of(*journal.store, job) == expected);
      const auto lines = std::ranges::count(expected, '\n');
      REQUIRE(journal.job(job).counts.completed == static_cast<std::uint64_t>(lines));
      for (Position upto = 1; upto <= last; ++upto)
        if ((upto % 3 == 0 ? 2u : 1u) == job) REQUIRE(journal.job(job).terminal.contains(upto * 4));
    }
    if (death != Death::outside) REQUIRE(segment_sizes(temp / "state") != before);
  }
}

} // namespace sqlite_store_kill_test
