#include "actors/kit/clock.hpp"

#include <ctime>
#include <fstream>
#include <random>

namespace gristmill {

Time boot_now() {
  timespec ts{};
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return time_from_ns(std::int64_t{ts.tv_sec} * 1'000'000'000 + ts.tv_nsec);
}

std::int64_t wall_seconds() {
  return std::time(nullptr);
}

std::string boot_id() {
  std::string id;
  std::ifstream{"/proc/sys/kernel/random/boot_id"} >> id;
  return id;
}

std::uint64_t random_seed() {
  std::random_device device;
  return (std::uint64_t{device()} << 32) | device();
}

} // namespace gristmill
