// Uploads into a state directory of a test's own.
#pragma once

#include "coordinator/inputs/uploads.hpp"
#include "coordinator/journal/file_blobs.hpp"

#include <string>

namespace gristmill::uploads_test {

inline Result<std::unique_ptr<coordinator::Uploads>>
open_uploads(const std::string& state, const std::string& data_root = "",
             coordinator::DiskCalls calls = coordinator::real_disk()) {
  auto blobs = coordinator::FileBlobs::open_in(state, std::move(calls));
  GRISTMILL_TRY(blobs);
  return coordinator::Uploads::open(std::move(*blobs), state, data_root);
}

} // namespace gristmill::uploads_test
