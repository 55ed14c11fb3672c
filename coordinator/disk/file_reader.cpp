#include "coordinator/disk/file_reader.hpp"

#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace gristmill::coordinator {

Result<std::size_t> FileReader::read(std::uint64_t offset, std::span<char> into) const {
  for (;;) {
    const ssize_t got = ::pread(file_.get(), into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail(ErrorCode::io, std::strerror(errno));
  }
}

journal::ByteState FileReader::state() const {
  struct stat about {};
  return ::fstat(file_.get(), &about) == 0 ? state_of(about) : journal::ByteState{};
}

std::uint64_t modified_ns(const struct stat& about) {
  return static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
}

journal::ByteState state_of(const struct stat& about) {
  return {static_cast<std::uint64_t>(about.st_size), modified_ns(about), about.st_ino};
}

} // namespace gristmill::coordinator
