#include "coordinator/inputs/roots.hpp"

#include "coordinator/disk/file_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace gristmill::coordinator {

namespace fs = std::filesystem;

namespace {

constexpr int moved_meanwhile_max = 16; // tries, when what is on the way is being renamed

int open_beneath(int root, const char* path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_BENEATH;
  for (int tries = 1;; ++tries) {
    const long file = ::syscall(SYS_openat2, root, path, &how, sizeof how);
    const bool again = errno == EINTR || (errno == EAGAIN && tries < moved_meanwhile_max);
    if (file >= 0 || !again) return static_cast<int>(file);
  }
}

Error reason() {
  switch (errno) {
  case EXDEV: return {ErrorCode::refused, "it leads out of what jobs may read"};
  case EAGAIN: // somebody has a lease on it, or moves what is on the way
  case EMFILE:
  case ENFILE: return {ErrorCode::unavailable, std::strerror(errno)};
  default: return {ErrorCode::bad_input, std::strerror(errno)};
  }
}

} // namespace

InputRoots::InputRoots(std::vector<std::string> roots,
                       std::shared_ptr<const journal::BlobStore> uploads)
    : roots_{std::move(roots)}, uploads_{std::move(uploads)} {}

Result<> InputRoots::are_possible() {
  const FileDescriptor root{::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  const FileDescriptor same{open_beneath(root.get(), ".", O_PATH | O_DIRECTORY | O_CLOEXEC)};
  if (same || (errno != ENOSYS && errno != EPERM)) return {};
  return fail(ErrorCode::usage,
              "expected a kernel with openat2 (Linux 5.6 or later, and a container runtime that "
              "lets it pass), which keeps jobs from reading what they may not, got none: run the "
              "coordinator elsewhere");
}

Result<FileDescriptor> InputRoots::open(const std::string& path, int flags) const {
  flags |= O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  if (roots_.empty() && !uploads_) {
    FileDescriptor file{::open(path.c_str(), flags)};
    if (!file) return tl::unexpected{reason()};
    return file;
  }
  for (const std::string& root : roots_) {
    if (!path.starts_with(root)) continue;
    const std::string_view rest = std::string_view{path}.substr(root.size());
    const bool within = rest.empty() || root.ends_with('/') || rest.starts_with('/');
    if (!within) continue;
    const FileDescriptor directory{::open(root.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!directory) return tl::unexpected{reason()};
    const std::size_t begin = rest.find_first_not_of('/');
    const char* below = begin == rest.npos ? "." : rest.data() + begin; // it ends with the path
    FileDescriptor file{open_beneath(directory.get(), below, flags)};
    if (!file) return tl::unexpected{reason()};
    return file;
  }
  return fail(ErrorCode::refused, "it is not below what jobs may read");
}

Result<OpenedFile> InputRoots::open_file(const std::string& path) const {
  if (uploads_ && uploads_->owns(path)) {
    auto blob = uploads_->open(path);
    GRISTMILL_TRY(blob);
    const journal::ByteState about = (*blob)->state();
    return OpenedFile{std::move(*blob), about};
  }
  auto file = open(path, O_RDONLY);
  GRISTMILL_TRY(file);
  struct stat about {};
  if (::fstat(file->get(), &about) != 0) return tl::unexpected{reason()};
  if (!S_ISREG(about.st_mode)) return fail(ErrorCode::bad_input, "it is not a file");
  return OpenedFile{std::make_unique<FileReader>(std::move(*file)), state_of(about)};
}

Result<FileDescriptor> InputRoots::open_directory(const std::string& path) const {
  return open(path, O_RDONLY | O_DIRECTORY);
}

Error cannot_read(const std::string& path, const Error& why) {
  return {why.code, fmt::format("read {}: {}", path, why.message)};
}

bool is_below(const fs::path& path, const fs::path& root) {
  const auto [in_root, in_path] = std::mismatch(root.begin(), root.end(), path.begin(), path.end());
  return in_root == root.end() && in_path != path.end();
}

Result<std::string> real_directory(const std::string& path, std::string_view named) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (!error && fs::is_directory(real, error)) return real.string();
  return fail(ErrorCode::usage,
              fmt::format("{}: expected a directory that can be read, got {} ({})", named, path,
                          error ? error.message() : "it is none"));
}

} // namespace gristmill::coordinator
