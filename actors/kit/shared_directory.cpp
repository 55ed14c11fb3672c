#include "actors/kit/shared_directory.hpp"

#include "actors/kit/clock.hpp"
#include "protocol/text/crc32c.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

namespace gristmill {
namespace {

constexpr std::size_t small_bytes_max = 4'096;
constexpr int tries_max = 100; // while a directory on the way is being renamed

Error failed(std::string_view call, const std::string& path) {
  const bool full = errno == ENOSPC || errno == EDQUOT;
  const bool none_left = errno == EMFILE || errno == ENFILE;
  return {full        ? ErrorCode::disk_full
          : none_left ? ErrorCode::unavailable
                      : ErrorCode::io,
          fmt::format("{} {}: {}", call, path, std::strerror(errno))};
}

std::string parent_of(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  return slash == name.npos ? "." : name.substr(0, slash);
}

} // namespace

SharedFile::~SharedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<std::size_t> SharedFile::read(std::uint64_t offset, std::span<char> into) const {
  std::size_t had = 0;
  while (had < into.size()) {
    const ssize_t got = ::pread(descriptor_, into.data() + had, into.size() - had,
                                static_cast<off_t>(offset + had));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return tl::unexpected{failed("read", path_)};
    if (got == 0) break;
    had += static_cast<std::size_t>(got);
  }
  return had;
}

Result<> SharedFile::write(std::uint64_t offset, std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t done =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return tl::unexpected{failed("write", path_)};
    offset += static_cast<std::uint64_t>(done);
    bytes.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

Result<> SharedFile::sync() const {
  if (::fsync(descriptor_) != 0) return tl::unexpected{failed("fsync", path_)};
  return {};
}

Result<> SharedFile::close() {
  const int closed = ::close(std::exchange(descriptor_, -1));
  if (closed != 0 && errno != EINTR) return tl::unexpected{failed("close", path_)};
  return {};
}

Result<SharedDirectory> SharedDirectory::open(const std::string& path) {
  std::error_code error;
  const std::string real = std::filesystem::canonical(path, error).string();
  SharedFile opened{error ? -1 : ::open(real.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), real};
  if (!error && !opened) error.assign(errno, std::generic_category());
  if (error)
    return fail(ErrorCode::usage, fmt::format("expected a directory that can be read, got {} ({})",
                                              path, error.message()));
  SharedDirectory directory{std::move(opened), real};
  if (auto tested = directory.test(); !tested)
    return fail(tested.error().code,
                fmt::format("expected a directory in which files can be written, synced and found "
                            "again, got {}: {}",
                            path, tested.error().message));
  return directory;
}

Result<> SharedDirectory::test() const {
  const std::string name = fmt::format(".gristmill-test-{:016x}", random_seed());
  const std::string word = fmt::format("{:016x}", random_seed());
  GRISTMILL_TRY(write(name, word));
  const auto read_back = read(name);
  ::unlinkat(directory_.descriptor_, name.c_str(), 0);
  GRISTMILL_TRY(read_back);
  if (*read_back == word) return {};
  return fail(ErrorCode::io, "what was written is not what is read");
}

Result<SharedFile> SharedDirectory::open(const std::string& name, int flags) const {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if ((flags & O_CREAT) != 0) how.mode = 0600;
  how.resolve = RESOLVE_BENEATH;
  const std::string path = path_ + "/" + name;
  for (int tries = 1;; ++tries) {
    const long file =
        ::syscall(SYS_openat2, directory_.descriptor_, name.c_str(), &how, sizeof how);
    if (file >= 0) return SharedFile{static_cast<int>(file), path};
    if (errno == EXDEV) return fail(ErrorCode::refused, path + " leads out of its directory");
    if (errno != EINTR && (errno != EAGAIN || tries == tries_max))
      return tl::unexpected{failed("open", path)};
  }
}

Result<SharedFile> SharedDirectory::open_to_read(const std::string& name) const {
  auto file = open(name, O_RDONLY);
  GRISTMILL_TRY(file);
  struct stat about {};
  if (::fstat(file->descriptor_, &about) != 0) return tl::unexpected{failed("fstat", file->path_)};
  if (!S_ISREG(about.st_mode)) return fail(ErrorCode::io, file->path_ + " is not a file");
  return file;
}

Result<SharedFile> SharedDirectory::create(const std::string& name) const {
  auto file = open(name, O_WRONLY | O_CREAT | O_EXCL);
  GRISTMILL_TRY(file);
  GRISTMILL_TRY(sync_parent(name));
  return file;
}

Result<SharedFile> SharedDirectory::open_to_write(const std::string& name) const {
  return open(name, O_WRONLY);
}

Result<> SharedDirectory::sync_parent(const std::string& name) const {
  const auto parent = open(parent_of(name), O_RDONLY | O_DIRECTORY);
  GRISTMILL_TRY(parent);
  return parent->sync();
}

Result<> SharedDirectory::make_directory(const std::string& name) const {
  const auto parent = open(parent_of(name), O_RDONLY | O_DIRECTORY);
  GRISTMILL_TRY(parent);
  const std::size_t slash = name.rfind('/');
  const std::string last = slash == name.npos ? name : name.substr(slash + 1);
  if (::mkdirat(parent->descriptor_, last.c_str(), 0700) != 0 && errno != EEXIST)
    return tl::unexpected{failed("mkdir", path_ + "/" + name)};
  return parent->sync();
}

Result<std::string> SharedDirectory::read(const std::string& name) const {
  const auto file = open_to_read(name);
  GRISTMILL_TRY(file);
  std::string text(small_bytes_max, '\0');
  const auto got = file->read(0, text);
  GRISTMILL_TRY(got);
  text.resize(*got);
  return text;
}

Result<> SharedDirectory::write(const std::string& name, std::string_view text) const {
  auto file = open(name, O_WRONLY | O_CREAT | O_TRUNC);
  GRISTMILL_TRY(file);
  GRISTMILL_TRY(file->write(0, text));
  GRISTMILL_TRY(file->sync());
  GRISTMILL_TRY(file->close());
  return sync_parent(name);
}

Result<std::string> SharedDirectory::read_range(const SharedFile& file, std::uint64_t offset,
                                                std::size_t bytes, std::uint32_t crc) const {
  std::string text(bytes, '\0');
  const auto got = file.read(offset, text);
  GRISTMILL_TRY(got);
  if (*got < bytes)
    return fail(ErrorCode::io, fmt::format("expected {} bytes at byte {} of {}, got {}: the file "
                                           "was cut, or is not the same everywhere",
                                           bytes, offset, file.path(), *got));
  if (crc32c(text) != crc)
    return fail(ErrorCode::io, fmt::format("expected {} bytes with the CRC {:08x} at byte {} of "
                                           "{}, got others: the file was changed",
                                           bytes, crc, offset, file.path()));
  return text;
}

} // namespace gristmill
