// OUTPUT LOCK: OUTPUT.lock, held by the run that will write OUTPUT, whatever state directory it
// has. Invariant: of two runs with one OUTPUT at the same time the later is refused. A kill leaves
// the empty file, which holds up nobody.
#pragma once

#include "coordinator/disk/file_descriptor.hpp"
#include "protocol/result.hpp"

#include <string>
#include <utility>

namespace gristmill::cli {

class OutputLock {
public:
  static Result<OutputLock> take(const std::string& output); // conflict: another run has it
  OutputLock(OutputLock&& other) noexcept
      : path_{std::exchange(other.path_, {})}, file_{std::move(other.file_)} {}
  ~OutputLock();

private:
  OutputLock(std::string path, coordinator::FileDescriptor file)
      : path_{std::move(path)}, file_{std::move(file)} {}

  std::string path_; // empty: somebody else has it now
  coordinator::FileDescriptor file_;
};

} // namespace gristmill::cli
