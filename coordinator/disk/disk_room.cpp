#include "coordinator/disk/disk_room.hpp"

#include "coordinator/disk/state_directory.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

std::uint64_t DiskRoom::reserve_of(const struct statvfs& disk) {
  constexpr std::uint64_t most = 256u << 20;
  return std::min(most, std::uint64_t{disk.f_blocks} * disk.f_frsize / 4);
}

Result<> DiskRoom::take(std::uint64_t bytes) {
  constexpr std::uint64_t look_every_bytes = 16u << 20;
  if (room_ < bytes) {
    struct statvfs disk {};
    if (look_(directory_.c_str(), &disk) != 0)
      return tl::unexpected{disk_error("statvfs", directory_)};
    const std::uint64_t free = std::uint64_t{disk.f_bavail} * disk.f_frsize;
    const std::uint64_t reserve = reserve_of(disk);
    const std::uint64_t left = free > reserve ? free - reserve : 0;
    room_ = std::min(left, bytes + look_every_bytes);
    if (left < bytes)
      return fail(ErrorCode::disk_full,
                  fmt::format("{}: expected room for {} bytes of {} and {} MB beside, got {} MB: "
                              "free some space",
                              directory_, bytes, what_, reserve >> 20, free >> 20));
  }
  room_ -= bytes;
  return {};
}

} // namespace gristmill::coordinator
