// STATE DIRECTORY: the one place on disk that a coordinator owns. Taking it creates it, refuses
// what is not ours or cannot be trusted with a journal, and locks it for the life of the process.
// Invariant: at most one process holds a state directory, and the lock falls with the process.
#pragma once

#include "coordinator/file_descriptor.hpp"
#include "protocol/result.hpp"

#include <string>

namespace gristmill::coordinator {

inline constexpr const char* journal_file_name = "journal.db";

struct StateDirectory {
  std::string path;
  FileDescriptor lock;
};

// conflict: somebody else's files, or another process holds it. usage: a network file system.
Result<StateDirectory> take_state_directory(const std::string& path);

// By the type that statfs(2) reports. FUSE is not among them: it is what containers run on.
bool is_network_file_system(unsigned long type);

// Creates what is missing of a path, readable by the owner only; it survives a power cut.
Result<> make_directory(const std::string& path);
Result<> sync_directory(const std::string& path);

// The error of a system call that has just failed, with errno in words: disk_full, unavailable (no
// descriptor is left) or io.
Error disk_error(std::string_view call, const std::string& path);

} // namespace gristmill::coordinator
