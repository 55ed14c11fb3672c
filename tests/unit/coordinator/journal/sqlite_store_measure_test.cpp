// Figures of the real journal, by hand: hidden from a plain run, started with "[measure]".
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <cstdio>
#include <fcntl.h>

namespace sqlite_store_measure_test {

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
      group.lines.push_back({JobId{1}, item + n * 37 % per_group, OutcomeClass::ok, text});
    REQUIRE(journal.commit(std::move(group)));
  }
}

// What the disk allows: the bytes of a group and of its row, each written and synced, by nobody.
double bare_commits_a_second(const std::string& directory, std::size_t group_bytes) {
  const std::string lines(group_bytes, 'x'), row(16'384, 'x');
  const coordinator::FileDescriptor first{::creat((directory + "/bare-lines").c_str(), 0600)};
  const coordinator::FileDescriptor second{::creat((directory + "/bare-rows").c_str(), 0600)};
  const Time begin = boot_now();
  const int groups = 500;
  for (int n = 0; n < groups; ++n) {
    REQUIRE(::write(first.get(), lines.data(), lines.size()) > 0);
    REQUIRE(::fdatasync(first.get()) == 0);
    REQUIRE(::write(second.get(), row.data(), row.size()) > 0);
    REQUIRE(::fdatasync(second.get()) == 0);
  }
  return groups / seconds_since(begin);
}

} // namespace

TEST_CASE("commits a second with lines of 700 bytes", "[.measure]") {
  for (const std::uint64_t per_group : {1u, 64u, 256u}) {
    const TempDirectory temp;
    Opened journal{temp / "state"};
    const std::uint64_t groups = 1'000;
    const double before = bare_commits_a_second(temp / ".", per_group * 700);
    const Time begin = boot_now();
    commit_lines(journal, groups * per_group, per_group, 699);
    const double seconds = seconds_since(begin);
    const double after = bare_commits_a_second(temp / ".", per_group * 700);
    std::printf("groups of %3lu: %6.0f commits/s, %7.0f lines/s; the bare disk %6.0f and %6.0f\n",
                per_group, static_cast<double>(groups) / seconds,
                static_cast<double>(groups * per_group) / seconds, before, after);
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

} // namespace sqlite_store_measure_test
