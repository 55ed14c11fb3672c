#include "protocol/keys/private_file.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace gristmill {
namespace {

constexpr std::size_t file_bytes_max = 1 << 20;

class Descriptor {
public:
  explicit Descriptor(int fd) : fd_{fd} {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

private:
  int fd_;
};

tl::unexpected<Error> failed(std::string_view what, const std::string& path) {
  const ErrorCode code = errno == ENOENT   ? ErrorCode::not_found
                         : errno == EEXIST ? ErrorCode::conflict
                                           : ErrorCode::io;
  return fail(code, fmt::format("{} {}: {}", what, path, std::strerror(errno)));
}

Result<> prepare_directory(const std::string& path) {
  const auto parent = std::filesystem::path{path}.parent_path();
  std::error_code error;
  if (!parent.empty()) std::filesystem::create_directories(parent, error);
  if (::mkdir(path.c_str(), 0700) == 0) return {};
  if (errno != EEXIST) return failed("creating", path);
  return check_private_directory(path);
}

Result<> write_and_close(Descriptor& file, const std::string& path, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0 && errno != EINTR) return failed("writing", path);
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.get()) != 0) return failed("syncing", path);
  if (::close(file.release()) != 0 && errno != EINTR) return failed("closing", path);
  return {};
}

Result<> write_new(const std::string& path, std::string_view text) {
  Descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
  if (file.get() < 0) return failed("creating", path);
  auto written = write_and_close(file, path, text);
  if (!written) ::unlink(path.c_str()); // it is ours
  return written;
}

Result<> sync_directory(const std::string& path) {
  const Descriptor directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (directory.get() < 0) return failed("opening", path);
  if (::fsync(directory.get()) != 0) return failed("syncing", path);
  return {};
}

} // namespace

Result<> check_private_directory(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return failed("looking at", path);
  if (!S_ISDIR(info.st_mode))
    return fail(ErrorCode::usage, fmt::format("{} is no directory, expected one for keys", path));
  if ((info.st_mode & 022) == 0) return {};
  return fail(ErrorCode::usage,
              fmt::format("{} may be written by others, who could put their own keys there: "
                          "chmod 700 {}",
                          path, path));
}

Result<> write_private_files(const std::string& directory, const std::vector<PrivateFile>& files) {
  GRISTMILL_TRY(prepare_directory(directory));
  for (const PrivateFile& file : files) {
    const std::string path = directory + "/" + file.name;
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0)
      return fail(
          ErrorCode::conflict,
          fmt::format("{} exists, and keys are never overwritten: choose another directory, "
                      "or move this one away",
                      path));
  }
  Result<> written;
  auto file = files.begin();
  while (written && file != files.end()) {
    written = write_new(directory + "/" + file->name, file->text);
    if (written) ++file;
  }
  const auto parent = std::filesystem::path{directory + "/."}.parent_path().parent_path();
  if (written) written = sync_directory(directory);
  if (written) written = sync_directory(parent.empty() ? "." : parent.string());
  // Half a set of keys would only be found out later, on another machine.
  while (!written && file != files.begin()) ::unlink((directory + "/" + (--file)->name).c_str());
  return written;
}

Result<std::string> read_private_file(const std::string& path) {
  // Without O_NONBLOCK the open of a pipe would wait for its writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.get() < 0) return failed("opening", path);
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return failed("reading", path);
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::usage, fmt::format("{} is no regular file, expected a key file", path));
  if ((info.st_mode & 077) != 0)
    return fail(ErrorCode::usage,
                fmt::format("{} may be opened by others than its owner (mode {:04o}): chmod 600 {}",
                            path, info.st_mode & 07777u, path));
  std::string text(file_bytes_max + 1, '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const ssize_t got = ::read(file.get(), text.data() + size, text.size() - size);
    if (got < 0 && errno != EINTR) return failed("reading", path);
    if (got == 0) break;
    if (got > 0) size += static_cast<std::size_t>(got);
  }
  if (size > file_bytes_max)
    return fail(
        ErrorCode::bad_input,
        fmt::format("{} holds more than {} bytes, expected a key file", path, file_bytes_max));
  text.resize(size);
  return text;
}

} // namespace gristmill
