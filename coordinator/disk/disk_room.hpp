// DISK ROOM: what scratch files and uploads may take of the disk under the state. They leave some
// of it free, because the journal needs it more: without it all jobs stand still.
// Invariant: when the disk fills, whoever asks here is refused before the journal is.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <sys/statvfs.h>

namespace gristmill::coordinator {

class DiskRoom {
public:
  using Look = std::function<int(const char*, struct statvfs*)>; // tests put their own here
  DiskRoom(std::string directory, std::string_view what, Look look = ::statvfs)
      : directory_{std::move(directory)}, what_{what}, look_{std::move(look)} {}

  // Room for so many bytes more; the disk is looked at now and then.
  Result<> take(std::uint64_t bytes);
  // What must stay free.
  static std::uint64_t reserve_of(const struct statvfs& disk);

private:
  std::string directory_, what_;
  Look look_;
  std::uint64_t room_ = 0; // bytes that may be taken before looking again
};

} // namespace gristmill::coordinator
