// The names in a directory, in order, without "." and "..", and what each of them is.
#pragma once

#include "coordinator/disk/file_descriptor.hpp"
#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace gristmill::coordinator {

struct DirectoryEntry {
  enum class Kind : unsigned char { file, directory, link, other };
  std::string name;
  Kind kind = Kind::other;
};

// An error says why in words, without the path.
Result<std::vector<DirectoryEntry>> entries_of(FileDescriptor directory);

} // namespace gristmill::coordinator
