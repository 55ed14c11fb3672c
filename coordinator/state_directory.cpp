#include "coordinator/state_directory.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

Result<> refuse_network_file_system(const std::string& path) {
  struct statfs info {};
  if (::statfs(path.c_str(), &info) != 0) return tl::unexpected{disk_error("statfs", path)};
  if (is_network_file_system(static_cast<unsigned long>(info.f_type)))
    return fail(ErrorCode::usage,
                fmt::format("expected the state directory on a local disk, {} is on a network file "
                            "system, whose locks and syncs cannot be trusted: choose another",
                            path));
  return {};
}

// What another user began cannot be gone on with: files would belong to one or the other.
Result<> refuse_other_owner(const std::string& journal) {
  struct stat info {};
  if (::stat(journal.c_str(), &info) != 0) return tl::unexpected{disk_error("stat", journal)};
  if (info.st_uid == ::geteuid()) return {};
  return fail(ErrorCode::conflict,
              fmt::format("expected a journal of user {}, {} belongs to user {}: run as that user, "
                          "or change the owner of the whole directory",
                          ::geteuid(), journal, info.st_uid));
}

Result<> refuse_foreign_files(const std::string& path) {
  std::error_code error;
  const fs::path journal = fs::path{path} / journal_file_name;
  if (fs::exists(journal, error)) return refuse_other_owner(journal.string());
  for (fs::directory_iterator entry{path, error}, end; !error && entry != end;
       entry.increment(error)) {
    // A start that died early leaves its lock behind and nothing else.
    if (entry->path().filename() == "lock") continue;
    return fail(ErrorCode::conflict,
                fmt::format("expected an empty directory or a state directory, {} holds {} and no "
                            "{}: choose another, or empty it",
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

Result<FileDescriptor> lock_directory(const std::string& path) {
  const std::string lock_path = path + "/lock";
  FileDescriptor lock{::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock) return tl::unexpected{disk_error("open", lock_path)};
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return tl::unexpected{disk_error("flock", lock_path)};
    return fail(ErrorCode::conflict,
                fmt::format("state directory {} is in use by {}: stop it, or choose another", path,
                            holder_of(lock.get())));
  }
  const std::string pid = fmt::format("{}\n", ::getpid());
  if (::ftruncate(lock.get(), 0) != 0 ||
      ::pwrite(lock.get(), pid.data(), pid.size(), 0) != static_cast<ssize_t>(pid.size()))
    return tl::unexpected{disk_error("write", lock_path)};
  return lock;
}

} // namespace

Error disk_error(std::string_view call, const std::string& path) {
  const int reason = errno;
  if (reason == ENOSPC || reason == EDQUOT)
    return {ErrorCode::disk_full,
            fmt::format("{} {}: {}: free some space", call, path, std::strerror(reason))};
  if (reason == EMFILE || reason == ENFILE) // it may do when others have closed theirs
    return {ErrorCode::unavailable, fmt::format("{} {}: {}: raise the limit of open files", call,
                                                path, std::strerror(reason))};
  return {ErrorCode::io, fmt::format("{} {}: {}", call, path, std::strerror(reason))};
}

bool is_network_file_system(unsigned long type) {
  constexpr std::array<unsigned long, 10> types{
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
  };
  return std::ranges::find(types, type) != types.end();
}

Result<> sync_directory(const std::string& path) {
  const FileDescriptor directory{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory) return tl::unexpected{disk_error("open", path)};
  if (::fsync(directory.get()) != 0) return fail(ErrorCode::io, disk_error("fsync", path).message);
  return {};
}

Result<> make_directory(const std::string& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) return {};
  fs::path parent = fs::path{path}.lexically_normal();
  if (!parent.has_filename()) parent = parent.parent_path(); // "a/b/" is "a/b"
  parent = parent.parent_path();
  if (parent.empty()) parent = ".";
  if (auto made = make_directory(parent.string()); !made) return made;
  if (::mkdir(path.c_str(), 0700) != 0) return tl::unexpected{disk_error("mkdir", path)};
  return sync_directory(parent.string());
}

Result<StateDirectory> take_state_directory(const std::string& path) {
  if (auto made = make_directory(path); !made) return tl::unexpected{made.error()};
  if (auto local = refuse_network_file_system(path); !local) return tl::unexpected{local.error()};
  if (auto ours = refuse_foreign_files(path); !ours) return tl::unexpected{ours.error()};
  auto lock = lock_directory(path);
  if (!lock) return tl::unexpected{lock.error()};
  return StateDirectory{path, std::move(*lock)};
}

} // namespace gristmill::coordinator
