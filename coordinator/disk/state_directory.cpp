#include "coordinator/disk/state_directory.hpp"

#include "coordinator/journal/mark.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <sstream>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <utility>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

constexpr unsigned long fuse_type = 0x65735546;

// The type of a mounted file system as mount(8) names it, such as fuse.sshfs; empty = unknown.
std::string mounted_as(const struct stat& directory) {
  const std::string device = fmt::format("{}:{}", major(directory.st_dev), minor(directory.st_dev));
  std::ifstream mounts{"/proc/self/mountinfo"};
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream words{line};
    std::string id, parent, its_device, type;
    words >> id >> parent >> its_device;
    if (const auto end = line.find(" - "); its_device == device && end != line.npos) {
      std::istringstream{line.substr(end + 3)} >> type;
      return type;
    }
  }
  return {};
}

// How a directory is called in a sentence, and what names another.
struct Called {
  std::string_view what, option;
};

Result<> refuse_network_file_system(const std::string& path, const struct stat& directory,
                                    const Called& called, const DiskCalls& calls) {
  struct statfs info {};
  if (calls.statfs(path.c_str(), &info) != 0) return tl::unexpected{disk_error("statfs", path)};
  if (is_network_file_system(static_cast<unsigned long>(info.f_type), mounted_as(directory)))
    return fail(
        ErrorCode::usage,
        fmt::format("expected the {} on a local disk, {} is on a network file system, whose "
                    "locks and syncs cannot be trusted: choose another with {}",
                    called.what, path, called.option));
  return {};
}

// Whoever may write into it could put links there, or files of his own.
Result<> refuse_other_writers(const std::string& path, const struct stat& directory,
                              const Called& called) {
  if (directory.st_uid != ::geteuid())
    return fail(ErrorCode::conflict,
                fmt::format("expected a {} of user {}, {} belongs to user {}: run as that user, or "
                            "choose another with {}",
                            called.what, ::geteuid(), path, directory.st_uid, called.option));
  if ((directory.st_mode & 022) == 0) return {};
  return fail(ErrorCode::usage,
              fmt::format("expected a {} into which its owner alone may write, {} has the mode "
                          "{:04o}: chmod 700 {}, or choose another with {}",
                          called.what, path, directory.st_mode & 07777u, path, called.option));
}

// What another user began cannot be gone on with: files would belong to one or the other.
Result<> refuse_other_owner(const std::string& journal) {
  struct stat info {};
  if (::lstat(journal.c_str(), &info) != 0) return tl::unexpected{disk_error("stat", journal)};
  if (!S_ISREG(info.st_mode))
    return fail(ErrorCode::conflict,
                fmt::format("expected {} to be a journal, it is no regular file: choose another "
                            "directory with --state",
                            journal));
  if (info.st_uid == ::geteuid()) return {};
  return fail(ErrorCode::conflict,
              fmt::format("expected a journal of user {}, {} belongs to user {}: run as that user, "
                          "or change the owner of the whole directory",
                          ::geteuid(), journal, info.st_uid));
}

// Before anything is locked or restricted: a start that is refused changes nothing.
Result<> refuse_other_content(const std::string& path, const std::string& journal) {
  const auto ours = is_journal(journal);
  GRISTMILL_TRY(ours);
  if (*ours) return {};
  return fail(
      ErrorCode::conflict,
      fmt::format("expected a journal, {} is no journal but of another program (or damaged at its "
                  "beginning): choose another directory than {} with --state",
                  journal, path));
}

Result<> refuse_other_lock(const std::string& lock) {
  const auto ours = is_lock(lock);
  GRISTMILL_TRY(ours);
  if (*ours) return {};
  return fail(ErrorCode::conflict,
              fmt::format("expected {} to be empty or to hold the number of a process, it holds "
                          "something else: move it away, or choose another directory with --state",
                          lock));
}

Result<> refuse_foreign_files(const std::string& path) {
  std::error_code error;
  const fs::path journal = fs::path{path} / journal_file_name;
  if (fs::exists(fs::symlink_status(journal, error))) {
    GRISTMILL_TRY(refuse_other_owner(journal.string()));
    return refuse_other_content(path, journal.string());
  }
  for (fs::directory_iterator entry{path, error}, end; !error && entry != end;
       entry.increment(error)) {
    // A start that died early leaves its lock behind and nothing else.
    if (entry->path().filename() == lock_file_name) continue;
    return fail(ErrorCode::conflict,
                fmt::format("expected an empty directory or a state directory, {} holds {} and no "
                            "{}: choose another with --state",
                            path, entry->path().filename().string(), journal_file_name));
  }
  if (error) return fail(ErrorCode::io, fmt::format("reading {}: {}", path, error.message()));
  return {};
}

std::string holder_of(int lock) {
  std::array<char, 32> text{};
  const ssize_t size = ::pread(lock, text.data(), text.size() - 1, 0);
  const std::string pid{text.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
  return pid.empty() ? "another process" : "process " + pid.substr(0, pid.find('\n'));
}

Result<FileDescriptor> lock_directory(const std::string& path, const DiskCalls& calls) {
  const std::string lock_path = path + "/" + lock_file_name;
  auto lock = open_file(lock_path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, calls);
  GRISTMILL_TRY(lock);
  if (::flock(lock->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::unexpected{disk_error("flock", lock_path)};
    return fail(ErrorCode::conflict,
                fmt::format("state directory {} is in use by {}: stop it, or choose another", path,
                            holder_of(lock->get())));
  }
  if (::ftruncate(lock->get(), 0) != 0) return tl::unexpected{disk_error("truncate", lock_path)};
  const std::string pid = fmt::format("{}\n", ::getpid());
  GRISTMILL_TRY(write_all_at(*lock, 0, pid, lock_path));
  return lock;
}

// Only of what is there already; the file is SQLite's.
Result<> restrict(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    return errno == ENOENT ? Result<>{} : tl::unexpected{disk_error("stat", path)};
  if ((info.st_mode & 077) == 0) return {};
  const auto file = open_file(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  GRISTMILL_TRY(file);
  if (::fchmod(file->get(), 0600) != 0) return tl::unexpected{disk_error("chmod", path)};
  return {};
}

} // namespace

bool is_network_file_system(unsigned long type, const std::string& mounted_as) {
  constexpr std::array<unsigned long, 16> types{
      0x6969,     // NFS
      0x517b,     // SMB
      0xff534d42, // CIFS
      0xfe534d42, // SMB2
      0x564c,     // NCP
      0x5346414f, // AFS
      0x73757245, // Coda
      0x00c36400, // Ceph
      0x0bd00bd0, // Lustre
      0x47504653, // GPFS
      0x01021997, // 9P
      0x19830326, // BeeGFS
      0x786f4256, // VirtualBox's shared folders
      0x01161970, // GFS2
      0x7461636f, // OCFS2
      0x20030528, // OrangeFS
  };
  // sshfs, gcsfuse, GlusterFS and virtiofs are FUSE; these alone are known to lie on a local disk.
  constexpr std::array<std::string_view, 3> local_fuse{"fuseblk", "fuse.fuse-overlayfs",
                                                       "fuse-overlayfs"};
  if (type == fuse_type) return std::ranges::find(local_fuse, mounted_as) == local_fuse.end();
  return std::ranges::find(types, type) != types.end();
}

// Not overlayfs: what fails below it does not reach its own descriptors.
bool whole_sync_tells_all(const std::string& path) {
  constexpr std::array<unsigned long, 4> types{0xef53,      // ext4
                                               0x58465342,  // XFS
                                               0x9123683e,  // Btrfs
                                               0xf2f52010}; // F2FS
  struct utsname system {};
  int major = 0, minor = 0;
  if (::uname(&system) != 0 || std::sscanf(system.release, "%d.%d", &major, &minor) != 2 ||
      std::pair{major, minor} < std::pair{5, 8})
    return false;
  struct statfs info {};
  return ::statfs(path.c_str(), &info) == 0 &&
         std::ranges::find(types, static_cast<unsigned long>(info.f_type)) != types.end();
}

Result<> make_journal_private(const std::string& path, const DiskCalls& calls) {
  const auto made = open_file(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, calls);
  GRISTMILL_TRY(made);
  for (const char* suffix : {"", "-wal", "-shm", "-journal"})
    GRISTMILL_TRY(restrict(path + suffix));
  return {};
}

Result<> refuse_untrusted_directory(const std::string& path, std::string_view what,
                                    std::string_view option, const DiskCalls& calls) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return tl::unexpected{disk_error("stat", path)};
  GRISTMILL_TRY(refuse_network_file_system(path, info, {what, option}, calls));
  return refuse_other_writers(path, info, {what, option});
}

Result<StateDirectory> take_state_directory(const std::string& path, const DiskCalls& calls) {
  GRISTMILL_TRY(make_directory(path, calls));
  GRISTMILL_TRY(refuse_untrusted_directory(path, "state directory", "--state", calls));
  GRISTMILL_TRY(refuse_foreign_files(path));
  GRISTMILL_TRY(refuse_other_lock(path + "/" + lock_file_name));
  auto lock = lock_directory(path, calls);
  GRISTMILL_TRY(lock);
  return StateDirectory{path, std::move(*lock)};
}

} // namespace gristmill::coordinator
