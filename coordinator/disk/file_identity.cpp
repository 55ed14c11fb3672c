#include "coordinator/disk/file_identity.hpp"

#include "coordinator/disk/state_directory.hpp"

#include <cerrno>
#include <fmt/format.h>
#include <sys/stat.h>

namespace gristmill::coordinator {

Result<FileIdentity> FileIdentity::of(std::string path) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) return tl::unexpected{disk_error("stat", path)};
  FileIdentity identity;
  identity.path_ = std::move(path);
  identity.device_ = about.st_dev;
  identity.file_ = about.st_ino;
  return identity;
}

Result<> FileIdentity::check() const {
  struct stat about {};
  const bool is_there = ::stat(path_.c_str(), &about) == 0;
  if (is_there && about.st_dev == device_ && about.st_ino == file_) return {};
  if (!is_there && errno != ENOENT) return tl::unexpected{disk_error("stat", path_)};
  return fail(ErrorCode::internal,
              fmt::format("expected {} as it was at the start, it was {} while this process ran: "
                          "what is recorded now would be lost; put the state directory back and "
                          "start anew",
                          path_, is_there ? "replaced" : "deleted"));
}

} // namespace gristmill::coordinator
