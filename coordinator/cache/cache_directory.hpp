// CACHE DIRECTORY: the place of an answer cache, which several processes use at once. Each holds
// its lock for one transaction: SQLite finds a rollback journal by the name of its database, so
// that a damaged file may leave its name only while nobody reads or writes it. Invariant: a file
// that is not ours, or of another version, is never opened by SQLite.
#pragma once

#include "coordinator/disk/file_io.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <sys/file.h>

namespace gristmill::coordinator {

// Falls with its owner.
class CacheLock {
public:
  explicit CacheLock(int descriptor) : descriptor_{descriptor} {}
  CacheLock(CacheLock&& other) noexcept : descriptor_{std::exchange(other.descriptor_, -1)} {}
  CacheLock& operator=(CacheLock&&) = delete;
  ~CacheLock() {
    if (descriptor_ >= 0) ::flock(descriptor_, LOCK_UN);
  }

private:
  int descriptor_;
};

class CacheDirectory {
public:
  // conflict, usage: as of a state directory.
  static Result<CacheDirectory> make(std::string path);
  // not_found: there is no cache in it.
  static Result<CacheDirectory> find(std::string path);

  enum class Access { read, write };
  // Nothing: others had it for longer than `patience`. A directory that was removed meanwhile is
  // made anew.
  Result<std::optional<CacheLock>> lock(Access access, std::chrono::milliseconds patience);

  // All that follows: under its lock, to write.
  // conflict: something else than a cache of this version stands in its place.
  Result<> refuse_foreign() const;
  Result<> make_file() const; // if it is absent
  // With what SQLite keeps beside it; returns its new path.
  Result<std::string> move_aside() const;

  const std::string& path() const { return path_; }
  const std::string& file() const { return file_; }

private:
  explicit CacheDirectory(std::string path);
  Result<> open();
  bool is_in_place() const;

  std::string path_, file_;
  FileDescriptor directory_;
};

} // namespace gristmill::coordinator
