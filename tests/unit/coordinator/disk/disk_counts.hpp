// What the tests of files share: system calls that are counted, with the file that each was made
// on, and of which one may be made to fail. Invariant: a call that does not fail is made in truth.
#pragma once

#include "coordinator/disk/file_io.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fmt/format.h>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace gristmill::disk_test {

namespace fs = std::filesystem;

class DiskCounts {
public:
  // The n-th call of this name fails, counted from 0.
  void let_fail(std::string name, int error, std::size_t n = 0) {
    const std::lock_guard lock{mutex_};
    failing_ = std::move(name);
    error_ = error;
    left_ = n;
  }

  coordinator::DiskCalls calls() {
    coordinator::DiskCalls calls;
    calls.open = [this](const char* path, int flags, mode_t mode) {
      return fails("open", path) ? -1 : ::open(path, flags, mode);
    };
    calls.write = [this](int fd, const void* data, std::size_t size) -> ssize_t {
      return fails("write", of(fd)) ? -1 : ::write(fd, data, size);
    };
    calls.pwrite = [this](int fd, const void* data, std::size_t size, off_t at) -> ssize_t {
      return fails("pwrite", of(fd)) ? -1 : ::pwrite(fd, data, size, at);
    };
    calls.fdatasync = [this](int fd) { return fails("fdatasync", of(fd)) ? -1 : ::fdatasync(fd); };
    calls.fsync = [this](int fd) { return fails("fsync", of(fd)) ? -1 : ::fsync(fd); };
    calls.fsync_directory = [this](int fd) {
      return fails("fsync_directory", of(fd)) ? -1 : ::fsync(fd);
    };
    calls.close = [this](int fd) {
      const bool failed = fails("close", of(fd));
      const int closed = ::close(fd);
      if (failed) errno = error_;
      return failed ? -1 : closed;
    };
    calls.rename = [this](const char* from, const char* to) {
      return fails("rename", from) ? -1 : ::rename(from, to);
    };
    calls.unlink = [this](const char* path) { return fails("unlink", path) ? -1 : ::unlink(path); };
    return calls;
  }

  // The files on which calls of this name were made, in their order.
  std::vector<std::string> files(const std::string& name) const {
    const std::lock_guard lock{mutex_};
    std::vector<std::string> found;
    for (const auto& [call, file] : made_)
      if (call == name) found.push_back(file);
    return found;
  }
  bool has(const std::string& name, const std::string& file) const {
    const auto found = files(name);
    return std::find(found.begin(), found.end(), file) != found.end();
  }
  void forget() {
    const std::lock_guard lock{mutex_};
    made_.clear();
  }

private:
  static std::string of(int fd) {
    std::error_code error;
    return fs::read_symlink(fmt::format("/proc/self/fd/{}", fd), error).string();
  }
  bool fails(const std::string& name, const std::string& file) {
    const std::lock_guard lock{mutex_};
    made_.emplace_back(name, file);
    if (name != failing_ || left_-- != 0) return false;
    errno = error_;
    return true;
  }

  mutable std::mutex mutex_;
  std::vector<std::pair<std::string, std::string>> made_;
  std::string failing_;
  int error_ = 0;
  std::size_t left_ = 0;
};

} // namespace gristmill::disk_test
