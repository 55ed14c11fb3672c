// What becomes of the journal when connections have taken all descriptors. Limits hold for a whole
// process, so each case has one of its own.
#include "coordinator/disk/descriptor_reserve.hpp"
#include "coordinator/disk/state_directory.hpp"
#include "protocol/limits.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <fcntl.h>
#include <functional>
#include <sys/resource.h>
#include <sys/wait.h>

namespace descriptor_reserve_test {

using namespace gristmill;
using namespace gristmill::store_test;

namespace {

// Runs it in a process of its own; the number of the first thing that was not so, 0 = all was.
int in_a_process(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -status;
}

// So many more descriptors may be opened, and `reserve` beyond them.
void leave(int free, int reserve = 0) {
  const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::close(next);
  const auto soft = static_cast<rlim_t>(next + free);
  const rlimit limit{soft, soft + static_cast<rlim_t>(reserve)};
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Group group_with_line(Position upto, std::uint64_t item) {
  Group group = group_of(upto, {line(1, item)});
  if (item == 0) group.jobs = {new_job(1, "jobs/1")};
  return group;
}

} // namespace

TEST_CASE("a group for which no descriptor is left waits, and the store goes on") {
  const TempDirectory temp;
  const int failed = in_a_process([&] {
    Opened journal{temp / "state"};
    if (!journal.store) return 1;
    const int spare[]{::dup(0), ::dup(0)};
    leave(0);
    for (int times = 0; times < 3; ++times) {
      const auto refused = journal.commit(group_with_line(1, 0));
      if (refused || refused.error().code != ErrorCode::unavailable) return 2;
      if (refused.error().message.find("open files") == std::string::npos) return 3;
    }
    ::close(spare[0]); // for the directory, but not for the segment beside it
    for (int times = 0; times < 3; ++times)
      if (journal.commit(group_with_line(1, 0))) return 4;
    ::close(spare[1]);
    if (!journal.commit(group_with_line(1, 0))) return 5;
    if (!journal.commit(group_with_line(2, 1))) return 6;
    return results_of(*journal.store, 1) == "{\"job\":1,\"item\":0}\n{\"job\":1,\"item\":1}\n" ? 0
                                                                                               : 7;
  });
  CHECK(failed == 0);
  const Opened again{temp / "state"};
  REQUIRE(again.store);
  CHECK(again.recovered.last_position == 2);
}

TEST_CASE("the journal opens its files from a reserve that connections cannot take") {
  const TempDirectory temp;
  const int failed = in_a_process([&] {
    Opened journal{temp / "state"};
    if (!journal.store) return 1;
    leave(0, 2);
    if (::dup(0) >= 0) return 2;
    if (!journal.commit(group_with_line(1, 0))) return 3;
    return ::dup(0) < 0 ? 0 : 4; // the limit is what it was
  });
  CHECK(failed == 0);
}

TEST_CASE("a directory is not taken for durable because it is there") {
  const TempDirectory temp;
  const int failed = in_a_process([&] {
    const int spare = ::dup(0);
    leave(0);
    const std::string path = temp / "a/b";
    for (int times = 0; times < 2; ++times) {
      const auto made = coordinator::make_directory(path);
      if (made || made.error().code != ErrorCode::unavailable) return 1;
    }
    ::close(spare);
    return coordinator::make_directory(path) ? 0 : 2;
  });
  CHECK(failed == 0);
}

TEST_CASE("a limit of open files below what the coordinator needs is told at the start") {
  static constexpr auto needed = limits::descriptors_min + limits::descriptors_kept;
  const auto starts_with = [](rlim_t most) {
    return in_a_process([most] {
      const rlimit limit{most, most};
      ::setrlimit(RLIMIT_NOFILE, &limit);
      const auto kept = coordinator::keep_descriptor_reserve();
      if (!kept)
        return kept.error().code == ErrorCode::usage &&
                       kept.error().message.find(fmt::format("at least {} open files", needed)) !=
                           std::string::npos
                   ? 1
                   : 2;
      rlimit now{};
      ::getrlimit(RLIMIT_NOFILE, &now);
      return now.rlim_cur == most - limits::descriptors_kept ? 0 : 3;
    });
  };
  CHECK(starts_with(needed - 1) == 1);
  CHECK(starts_with(needed) == 0);
  CHECK(starts_with(needed + 1) == 0);
}

} // namespace descriptor_reserve_test
