// Figures of the real journal, by hand: hidden from a plain run, started with "[measure]".
#include "tests/unit/sqlite_store_harness.hpp"

#include <cstdio>

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

double seconds_since(Time begin) {
  return to_seconds(boot_now() - begin);
}

void commit_lines(Opened& journal, std::uint64_t items, std::uint64_t per_group,
                  std::size_t line_bytes) {
  const std::string text(line_bytes, 'x');
  for (std::uint64_t item = 0; item < items; item += per_group) {
    Group group = group_of(item / per_group + 1, {});
    if (item == 0) group.jobs = {new_job(1, "")};
    // Completion order is not input order: a stride that visits every item of the group once.
    for (std::uint64_t n = 0; n < per_group; ++n)
      group.lines.push_back({JobId{1}, item + n * 37 % per_group, false, text});
    REQUIRE(journal.commit(std::move(group)));
  }
}

} // namespace

TEST_CASE("commits a second with lines of 700 bytes", "[.measure]") {
  for (const std::uint64_t per_group : {1u, 64u, 256u}) {
    const TempDirectory temp;
    Opened journal{temp / "state"};
    const std::uint64_t groups = 3'000;
    const Time begin = boot_now();
    commit_lines(journal, groups * per_group, per_group, 699);
    const double seconds = seconds_since(begin);
    std::printf("groups of %3lu: %7.0f commits/s, %8.0f lines/s\n", per_group,
                static_cast<double>(groups) / seconds,
                static_cast<double>(groups * per_group) / seconds);
  }
}

TEST_CASE("recovery of ten million items", "[.measure]") {
  const TempDirectory temp;
  const std::uint64_t items = 10'000'128; // a whole number of groups
  {
    Opened journal{temp / "state"};
    commit_lines(journal, items, 256, 15);
  }
  const auto bytes = std::filesystem::file_size(temp / "state/journal.db");
  const Time begin = boot_now();
  const Opened journal{temp / "state"};
  const double seconds = seconds_since(begin);
  REQUIRE(journal.store);
  CHECK(journal.job(1).terminal.low() == items);
  std::printf("recovered %lu items from %.0f MB in %.2f s\n", items,
              static_cast<double>(bytes) / 1e6, seconds);
}
