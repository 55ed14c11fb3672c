#include "coordinator/disk/directory_entries.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <memory>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

using Kind = DirectoryEntry::Kind;

// Some file systems do not say it with the name.
Kind kind_of(int directory, const dirent& entry) {
  unsigned char type = entry.d_type;
  struct stat about {};
  if (type == DT_UNKNOWN && ::fstatat(directory, entry.d_name, &about, AT_SYMLINK_NOFOLLOW) == 0)
    type = static_cast<unsigned char>(IFTODT(about.st_mode));
  switch (type) {
  case DT_REG: return Kind::file;
  case DT_DIR: return Kind::directory;
  case DT_LNK: return Kind::link;
  default: return Kind::other;
  }
}

} // namespace

Result<std::vector<DirectoryEntry>> entries_of(FileDescriptor directory) {
  const int number = ::fcntl(directory.get(), F_DUPFD_CLOEXEC, 0); // the stream closes its own
  const std::unique_ptr<DIR, int (*)(DIR*)> stream{number < 0 ? nullptr : ::fdopendir(number),
                                                   ::closedir};
  std::vector<DirectoryEntry> entries;
  errno = number < 0 ? errno : 0;
  while (const dirent* entry = stream ? ::readdir(stream.get()) : nullptr) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..")
      entries.push_back({std::string{name}, kind_of(directory.get(), *entry)});
    errno = 0;
  }
  if (!stream || errno != 0) return fail(ErrorCode::bad_input, std::strerror(errno));
  std::sort(entries.begin(), entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return entries;
}

} // namespace gristmill::coordinator
