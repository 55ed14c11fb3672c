#include "coordinator/cache/cache_connection.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {

Result<CacheOutcome> CacheConnection::within(Access access, const Work& work) {
  std::optional<Error> damage;
  {
    const auto held = enter(access);
    if (!held) return outcome_of(held.error());
    if (!*held) return CacheOutcome::busy;
    auto done = transact(access, work);
    if (done) return CacheOutcome::done;
    const bool is_damaged = tables_->is_damaged();
    if (is_damaged || !tables_->roll_back()) tables_.reset();
    if (!is_damaged) return outcome_of(std::move(done.error()));
    damage = std::move(done.error());
  }
  GRISTMILL_TRY(begin_anew(*damage));
  return CacheOutcome::damaged;
}

Result<> CacheConnection::transact(Access access, const Work& work) {
  GRISTMILL_TRY(access == Access::read ? tables_->begin_to_read() : tables_->begin_to_write());
  GRISTMILL_TRY(work(*tables_));
  return tables_->commit();
}

Result<std::optional<CacheLock>> CacheConnection::enter(Access access) {
  if (tables_) {
    auto lock = directory_.lock(access, patience_);
    if (!lock || !*lock || file_->check()) return lock;
    tables_.reset(); // somebody has moved it aside, or removed it
  }
  auto lock = directory_.lock(Access::write, patience_);
  if (lock && *lock) GRISTMILL_TRY(connect());
  return lock;
}

Result<> CacheConnection::connect() {
  for (bool again = true;; again = false) {
    GRISTMILL_TRY(directory_.refuse_foreign());
    if (purpose_ == CachePurpose::keep) GRISTMILL_TRY(directory_.make_file());
    auto tables = std::make_unique<CacheTables>();
    auto opened = tables->open(directory_.file(), patience_);
    if (opened) {
      auto file = FileIdentity::of(directory_.file());
      GRISTMILL_TRY(file);
      file_ = std::move(*file);
      tables_ = std::move(tables);
      return {};
    }
    if (!tables->is_damaged() || !again) return opened;
    tables.reset();
    GRISTMILL_TRY(move_aside(opened.error()));
  }
}

// What has failed here may do so no more with the next transaction, or with a new connection.
Result<CacheOutcome> CacheConnection::outcome_of(Error error) {
  if (error.code == ErrorCode::unavailable) return CacheOutcome::busy;
  if (error.code != ErrorCode::disk_full) {
    tables_.reset();
    return tl::unexpected{std::move(error)};
  }
  if (!std::exchange(told_full_, true))
    notices_.push_back(error.message + "; until then answers are not kept in the cache");
  return CacheOutcome::full;
}

// Not under the lock of the transaction that failed, which may be one that reads.
Result<> CacheConnection::begin_anew(const Error& damage) {
  const auto lock = directory_.lock(Access::write, patience_);
  GRISTMILL_TRY(lock);
  if (!*lock || !file_->check()) return {}; // later; or another process was faster
  return move_aside(damage);
}

Result<> CacheConnection::move_aside(const Error& damage) {
  if (purpose_ == CachePurpose::look)
    return fail(ErrorCode::io,
                fmt::format("expected a whole answer cache, {} is damaged ({}): remove it, or the "
                            "next run that uses it moves it aside and begins a new one",
                            directory_.file(), damage.message));
  const auto kept = directory_.move_aside();
  GRISTMILL_TRY(kept);
  ++damaged_files_;
  notices_.push_back(fmt::format("the answer cache {} is damaged ({}): it is kept as {}, and an "
                                 "empty one begins",
                                 directory_.file(), damage.message, *kept));
  return {};
}

} // namespace gristmill::coordinator
