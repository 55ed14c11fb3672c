// FILE IDENTITY: whether a file still stands under its name. A process goes on writing into a file
// that was deleted or replaced, and nobody finds again what it wrote.
#pragma once

#include "protocol/result.hpp"

#include <string>
#include <sys/types.h>

namespace gristmill::coordinator {

class FileIdentity {
public:
  static Result<FileIdentity> of(std::string path);
  Result<> check() const; // internal: it is gone, or another stands there

private:
  std::string path_;
  dev_t device_ = 0;
  ino_t file_ = 0;
};

} // namespace gristmill::coordinator
