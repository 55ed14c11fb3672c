// The address space that a process needs, told before a library ends it without a word.
#include "actors/kit/program/address_space.hpp"

#include <catch2/catch.hpp>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace address_space_test {

using namespace gristmill;

TEST_CASE("too little address space is told at the start") {
  const auto starts_with = [](rlim_t bytes) {
    const pid_t child = ::fork();
    if (child == 0) {
      rlimit limit{};
      ::getrlimit(RLIMIT_AS, &limit);
      limit.rlim_cur = bytes;
      ::setrlimit(RLIMIT_AS, &limit);
      const auto enough = check_address_space();
      ::_exit(enough ? 0 : enough.error().message.find("ulimit -v") == std::string::npos ? 2 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  };
  CHECK(starts_with(address_space_min - 1) == 1);
  CHECK(starts_with(address_space_min) == 0);
  CHECK(starts_with(address_space_min + 1) == 0);
  CHECK(starts_with(RLIM_INFINITY) == 0);
}

} // namespace address_space_test
