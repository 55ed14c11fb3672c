#include "cli/run/output_lock.hpp"

#include "coordinator/disk/file_io.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::cli {

Result<OutputLock> OutputLock::take(const std::string& output) {
  const std::string path = output + ".lock";
  for (;;) {
    auto file = coordinator::open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW);
    GRISTMILL_TRY(file);
    struct flock lock {};
    lock.l_type = F_WRLCK;
    if (::fcntl(file->get(), F_SETLK, &lock) != 0) {
      if (errno != EAGAIN && errno != EACCES)
        return tl::unexpected{coordinator::disk_error("lock", path)};
      if (::fcntl(file->get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK) continue;
      return fail(ErrorCode::conflict,
                  fmt::format("{} is in use by process {}, another run that writes it: wait for "
                              "it, or give another -o",
                              output, lock.l_pid));
    }
    // Its last owner may have removed the file that was opened here.
    struct stat held {
    }, named{};
    if (::fstat(file->get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
        held.st_ino == named.st_ino && held.st_dev == named.st_dev)
      return OutputLock{path, std::move(*file)};
  }
}

OutputLock::~OutputLock() {
  // Only the empty file that it is.
  struct stat held {};
  if (!path_.empty() && ::fstat(file_.get(), &held) == 0 && held.st_size == 0)
    ::unlink(path_.c_str());
}

} // namespace gristmill::cli
