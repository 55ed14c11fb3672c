// CACHE CONNECTION: transactions on an answer cache that other processes use too, move aside when
// it is damaged, or remove. Each finds the file that stands in its place now. Invariant: nothing
// that is wrong with a cache alone is an error, unless one only looks.
#pragma once

#include "coordinator/cache/cache_directory.hpp"
#include "coordinator/cache/cache_tables.hpp"
#include "coordinator/disk/file_identity.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

enum class CachePurpose : std::uint8_t { keep, look }; // who looks creates and moves nothing

enum class CacheOutcome : std::uint8_t {
  done,
  busy,    // others had it for too long, or there is no descriptor left
  full,    // the disk
  damaged, // what was there is moved aside; the next transaction finds an empty cache
};

class CacheConnection {
public:
  using Access = CacheDirectory::Access;
  // An error takes the transaction back.
  using Work = std::function<Result<>(CacheTables&)>;

  CacheConnection(CacheDirectory directory, CachePurpose purpose,
                  std::chrono::milliseconds patience)
      : directory_{std::move(directory)}, purpose_{purpose}, patience_{patience} {}

  // An error: the file cannot be read or written (io), or is not a cache of this version
  // (conflict).
  Result<CacheOutcome> within(Access access, const Work& work);

  const std::string& path() const { return directory_.path(); }
  std::chrono::milliseconds patience() const { return patience_; }
  std::uint64_t damaged_files() const { return damaged_files_; }
  // Sentences for the log; then they are gone.
  std::vector<std::string> take_notices() { return std::exchange(notices_, {}); }

private:
  Result<std::optional<CacheLock>> enter(Access access);
  Result<std::optional<CacheLock>> lock(Access access);
  Result<> connect();
  Result<> transact(Access access, const Work& work);
  Result<CacheOutcome> outcome_of(Error error);
  Result<> begin_anew(const Error& damage);
  Result<> move_aside(const Error& damage);

  CacheDirectory directory_;
  CachePurpose purpose_;
  std::chrono::milliseconds patience_;
  std::unique_ptr<CacheTables> tables_; // none: to be opened
  std::optional<FileIdentity> file_;    // of the one that is open
  std::vector<std::string> notices_;
  std::uint64_t damaged_files_ = 0;
  bool told_full_ = false, was_busy_ = false;
};

} // namespace gristmill::coordinator
