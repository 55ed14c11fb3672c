// A directory for a run whose state nobody wants to keep. Invariant: it goes with its owner, also
// when the process leaves at once, if it says so by remove().
#pragma once

#include "protocol/result.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <stdlib.h>
#include <string>
#include <utility>

namespace gristmill::cli {

class TemporaryDirectory {
public:
  TemporaryDirectory() = default;
  static Result<TemporaryDirectory> create() {
    std::error_code error;
    const auto place = std::filesystem::temp_directory_path(error);
    std::string name =
        ((error ? std::filesystem::path{"/tmp"} : place) / "gristmill-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return fail(ErrorCode::io,
                  fmt::format("expected to make a temporary directory {}: {}; name a "
                              "state directory with --state",
                              name, std::strerror(errno)));
    TemporaryDirectory made;
    made.path_ = std::move(name);
    return made;
  }
  TemporaryDirectory(TemporaryDirectory&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  TemporaryDirectory& operator=(TemporaryDirectory&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  ~TemporaryDirectory() { remove(); }

  bool exists() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  void remove() {
    std::error_code ignored;
    if (exists()) std::filesystem::remove_all(path_, ignored);
    path_.clear();
  }

private:
  std::string path_;
};

} // namespace gristmill::cli
