#include "actors/kit/random.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"
#include "tests/unit/coordinator/journal/store_faults.hpp"

#include <algorithm>
#include <map>

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
    const auto said = run_and_kill<Position>([&](int pipe) { commit_until_killed(mortal, pipe); },
                                             death == Death::outside ? acks : acks + 1,
                                             std::chrono::microseconds{random.below(3'000)});
    REQUIRE(said.killed);
    const Position announced = said.words.empty() ? 0 : said.words.back();
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
