// STATE DIRECTORY: the one place on disk that a coordinator owns. Taking it creates it, refuses
// what is not ours or cannot be trusted with a journal, and locks it for the life of the process.
// Invariant: at most one process holds a state directory, and the lock falls with the process.
#pragma once

#include "coordinator/disk/file_io.hpp"
#include "protocol/result.hpp"

#include <string>
#include <string_view>

namespace gristmill::coordinator {

inline constexpr const char* journal_file_name = "journal.db";
inline constexpr const char* lock_file_name = "lock";

struct StateDirectory {
  std::string path;
  FileDescriptor lock;
};

// conflict: somebody else's files, or another process holds it. usage: a network file system, or a
// directory into which others may write.
Result<StateDirectory> take_state_directory(const std::string& path,
                                            const DiskCalls& calls = real_disk());

// usage, conflict: a network file system, or a directory that others may write into. `what` it is
// expected to be, and which `option` names another, stand in the sentence.
Result<> refuse_untrusted_directory(const std::string& path, std::string_view what,
                                    std::string_view option, const DiskCalls& calls = real_disk());

// By the type that statfs(2) reports, and for FUSE by the name under which it is mounted.
bool is_network_file_system(unsigned long type, const std::string& mounted_as);

// Whether a syncfs(2) there returns what could not be written since its descriptor was opened:
// Linux from 5.8 on, and file systems that are known to.
bool whole_sync_tells_all(const std::string& path);

// The journal at this path, and what SQLite keeps beside it, are their owner's alone from the first
// byte on; SQLite itself would leave that to the umask. Before it is opened.
Result<> make_journal_private(const std::string& path, const DiskCalls& calls = real_disk());

} // namespace gristmill::coordinator
