// CACHE STORE: answers of earlier calls by the keys of their requests, in one file of a directory
// that several processes may use at once. Plain and synchronous: each call waits for the disk, so
// one thread has the store and nobody else waits for that thread.
//
// A cache may cost calls, never answers: every entry bears a checksum over its key and all that it
// says. A damaged entry is a miss and goes away; a damaged file is moved aside, and an empty one
// begins. A cache that others hold for too long is a miss, and what comes meanwhile is not kept.
// Nor is what finds the disk full. All of that is counted, and said once. An error is only what
// makes the cache useless: its file cannot be read or written, or is another's by now.
//
// Beyond `bytes_max` of stored bytes those entries go first that nobody has used for longest, until
// nine tenths are left or thousands have gone.
// `now` is unix seconds.
#pragma once

#include "coordinator/cache/cache_connection.hpp"
#include "protocol/openai/line/known_answer.hpp"
#include "protocol/request_key.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

struct CacheStats {
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;                     // stored, with an allowance for rows and indexes
  std::uint64_t body_bytes = 0;                // unpacked
  std::int64_t oldest_use = 0, newest_use = 0; // unix seconds, to the hour; 0 = no entry
  std::uint64_t bytes_max = 0;                 // as the last that opened it was told
  std::uint64_t file_bytes = 0;
};

// What this store could not do since it was opened.
struct CacheCounts {
  std::uint64_t unasked_busy = 0;                                      // keys
  std::uint64_t dropped_busy = 0, dropped_full = 0, dropped_large = 0; // answers
  std::uint64_t damaged_entries = 0, damaged_files = 0;
};

struct CachePruned {
  std::uint64_t entries = 0, bytes = 0; // that are gone
};

class CacheStore {
public:
  using Answers = std::vector<std::optional<KnownAnswer>>;
  using NewAnswers = std::vector<std::pair<RequestKey, KnownAnswer>>;
  static constexpr std::chrono::milliseconds default_patience{5'000};

  // Makes the directory and the file if they are absent. conflict: a file that is not a cache, or
  // one of another version, which stays as it is; conflict, usage: a directory that cannot be
  // trusted, as of a state directory.
  static Result<CacheStore> open(const std::string& directory, std::uint64_t bytes_max,
                                 std::chrono::milliseconds patience = default_patience);
  // One that is there, with its own bound, for stats() and prune(). not_found: there is none; io:
  // it is damaged, and stays as it is; unavailable: others have it.
  static Result<CacheStore> open_to_look(const std::string& directory,
                                         std::chrono::milliseconds patience = default_patience);

  CacheStore(CacheStore&&) noexcept = default;
  CacheStore& operator=(CacheStore&&) = delete;
  ~CacheStore(); // notes the last uses

  // One place for each key; of a key without bytes nothing is found. There are fewer places than
  // keys once the answers have so many bytes: nobody has looked for the others.
  Result<Answers> find(std::span<const RequestKey> keys, std::int64_t now,
                       std::size_t bytes_max = std::numeric_limits<std::size_t>::max());
  // All at once. An answer that is there already stays, unless it is damaged.
  Result<> put(const NewAnswers& answers, std::int64_t now);

  // unavailable: others have it.
  Result<CacheStats> stats();
  // Leaves at most so many bytes, and nothing that was not used for so long; the file shrinks.
  Result<CachePruned> prune(std::uint64_t to_bytes, std::optional<std::chrono::seconds> unused_for,
                            std::int64_t now);

  CacheCounts counts() const;
  // Sentences for the log; then they are gone.
  std::vector<std::string> take_notices() { return connection_.take_notices(); }

private:
  struct Row {
    RequestKey key;
    CachedEntry entry;
  };
  struct Damaged {
    RequestKey key;
    std::uint32_t checksum = 0;
  };

  CacheStore(CacheConnection connection, std::uint64_t bytes_max)
      : connection_{std::move(connection)}, bytes_max_{bytes_max} {}

  std::uint64_t bytes_left() const { return bytes_max_ / 10 * 9; } // once they were more
  // With the uses that wait to be noted.
  Result<CacheOutcome> write(const CacheConnection::Work& work);
  Result<> shrink_to_bound();
  Result<CachePruned> shrink(std::uint64_t to_bytes, std::int64_t used_before);
  Result<> give_back_pages();

  struct LookedFor {
    Answers answers;
    std::vector<Damaged> damaged;
    std::size_t bytes = 0;
  };
  Result<> look_up(CacheTables& tables, const RequestKey& key, std::int64_t hour,
                   LookedFor& looked);
  void remove(const std::vector<Damaged>& damaged);
  std::vector<Row> rows_of(const NewAnswers& answers, std::int64_t now);
  Result<> keep(CacheTables& tables, const std::vector<Row>& rows, std::int64_t hour);
  Result<> make_room(CacheTables& tables, std::uint64_t stored);
  Result<> keep_in_place(CacheTables& tables, const Row& row, std::int64_t hour);

  CacheConnection connection_;
  std::uint64_t bytes_max_;
  std::unordered_map<RequestKey, std::int64_t> uses_; // hours
  CacheCounts counts_;
};

} // namespace gristmill::coordinator
