// FILE IO: the one way in which files are opened, read, written and made durable. A call that a
// signal interrupted is made again, one that was done in part goes on, and what fails is an error
// that names call and file.
// Invariant: no write, sync, close or rename fails unseen.
#pragma once

#include "coordinator/disk/descriptor_reserve.hpp"
#include "coordinator/disk/file_descriptor.hpp"
#include "coordinator/disk/sweeper.hpp"
#include "protocol/result.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fcntl.h>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <sys/vfs.h>
#include <system_error>
#include <unistd.h>

namespace gristmill::coordinator {

// The system calls that may fail with a full or a broken disk, or that tests count; tests put their
// own here.
struct DiskCalls {
  std::function<int(const char*, int, mode_t)> open = open_from_reserve;
  std::function<ssize_t(int, const void*, std::size_t)> write = ::write;
  std::function<ssize_t(int, const void*, std::size_t, off_t)> pwrite = ::pwrite;
  std::function<int(int)> fdatasync = ::fdatasync;
  std::function<int(int)> fsync = ::fsync;
  std::function<int(int)> fsync_directory = ::fsync;
  std::function<int(int)> syncfs = ::syncfs;
  std::function<int(int)> close = ::close;
  std::function<int(const char*, const char*)> rename = ::rename;
  std::function<int(const char*)> unlink = ::unlink;
  std::function<int(const char*, struct statfs*)> statfs = ::statfs;
  // Removes a directory and all that is in it.
  std::function<std::error_code(const std::string&)> remove_tree = coordinator::remove_tree;
};
const DiskCalls& real_disk();

// The error of a system call that has just failed, with errno in words: disk_full, unavailable (no
// descriptor is left) or io.
Error disk_error(std::string_view call, const std::string& path);

// `flags` as of open(2); the descriptor does not outlive an exec.
Result<FileDescriptor> open_file(const std::string& path, int flags, mode_t mode = 0600,
                                 const DiskCalls& calls = real_disk());

// At the file's end, or at its offset.
Result<> write_all(const FileDescriptor& file, std::string_view bytes, const std::string& path,
                   const DiskCalls& calls = real_disk());
Result<> write_all_at(const FileDescriptor& file, std::uint64_t offset, std::string_view bytes,
                      const std::string& path, const DiskCalls& calls = real_disk());
// The bytes that were read: fewer than asked for only where the file ends.
Result<std::size_t> read_at(const FileDescriptor& file, std::uint64_t offset, std::span<char> into,
                            const std::string& path);
// From where the descriptor stands, as of a pipe; 0 = its end.
Result<std::size_t> read_some(int descriptor, std::span<char> into, const std::string& path);

// A failed sync is always `io`, even for want of space: the kernel may have dropped the pages, so
// that trying again proves nothing.
Result<> sync_file(const FileDescriptor& file, const std::string& path,
                   const DiskCalls& calls = real_disk());
Result<> sync_data(const FileDescriptor& file, const std::string& path,
                   const DiskCalls& calls = real_disk());
// All that the file system holds; `file` is any of its directories or files.
Result<> sync_file_system(const FileDescriptor& file, const std::string& path,
                          const DiskCalls& calls = real_disk());
Result<> close_file(FileDescriptor file, const std::string& path,
                    const DiskCalls& calls = real_disk());

// The names in a directory survive a power cut once it is synced.
Result<> rename_file(const std::string& from, const std::string& to,
                     const DiskCalls& calls = real_disk());
Result<> sync_directory(const std::string& path, const DiskCalls& calls = real_disk());
// Creates what is missing of a path, readable by the owner only; it survives a power cut. Somebody
// else may make the same directory at the same time.
Result<> make_directory(const std::string& path, const DiskCalls& calls = real_disk());
std::string directory_of(const std::string& path); // "." of a name alone

} // namespace gristmill::coordinator
