// For as long as it lives, this process gets no descriptor more than it has, but `spare` ones.
#pragma once

#include <catch2/catch.hpp>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

namespace gristmill::test {

class NoMoreDescriptors {
public:
  explicit NoMoreDescriptors(rlim_t spare = 0) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC); // the lowest that is free
    REQUIRE(next >= 0);
    ::close(next);
    rlimit limit = before_;
    limit.rlim_cur = static_cast<rlim_t>(next) + spare;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  }
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoMoreDescriptors(const NoMoreDescriptors&) = delete;
  NoMoreDescriptors& operator=(const NoMoreDescriptors&) = delete;

private:
  rlimit before_{};
};

} // namespace gristmill::test
