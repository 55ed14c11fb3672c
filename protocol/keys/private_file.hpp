// Files that hold secrets: written once and for their owner alone, read only while nobody else can.
#pragma once

#include "protocol/result.hpp"

#include <string>
#include <vector>

namespace gristmill {

struct PrivateFile {
  std::string name, text;
};

// Creates the directory (0700) if need be and all files (0600), so that they survive a power cut,
// or none of them: conflict if one exists already.
Result<> write_private_files(const std::string& directory, const std::vector<PrivateFile>& files);

// usage: others may write into the directory, and so put their own keys there.
Result<> check_private_directory(const std::string& path);

// usage: the file may be opened by its group or by others.
Result<std::string> read_private_file(const std::string& path);

} // namespace gristmill
