// Which failures of a disk pass: nothing is broken, and it may do when somebody has freed space or
// closed files. Whatever failed so is kept and tried again.
#pragma once

#include "protocol/result.hpp"

namespace gristmill::journal {

constexpr bool passes(ErrorCode code) {
  return code == ErrorCode::disk_full || code == ErrorCode::unavailable;
}

} // namespace gristmill::journal
