#include "coordinator/cache/cache_connection.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr std::chrono::milliseconds patience_again{20};

} // namespace

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
    auto held = lock(access);
    if (!held || !*held || file_->check()) return held;
    tables_.reset(); // somebody has moved it aside, or removed it
  }
  auto held = lock(Access::write);
  if (held && *held) GRISTMILL_TRY(connect());
  return held;
}

// A process that stands still with the cache in its hand is waited for once, not at every call.
Result<std::optional<CacheLock>> CacheConnection::lock(Access access) {
  auto held = directory_.lock(access, was_busy_ ? std::min(patience_, patience_again) : patience_);
  if (held) was_busy_ = !held->has_value();
  return held;
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
  const auto held = lock(Access::write);
  GRISTMILL_TRY(held);
  if (!*held || !file_->check()) return {}; // later; or another process was faster
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
