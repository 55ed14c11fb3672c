// CACHED ENTRY: an answer as it lies in the cache: its body packed, and a checksum over all that it
// says and over the key that it answers. Invariant: what the checksum does not cover, or does not
// fit, is no answer.
#pragma once

#include "actors/words/known_answer.hpp"
#include "protocol/request_key.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace gristmill::coordinator {

struct CachedEntry {
  std::uint32_t http_status = 0;
  std::string request_id, model, endpoint;
  std::string packed;     // zstd
  std::uint64_t size = 0; // of the body in it
  std::int64_t created = 0;
  std::uint32_t checksum = 0;

  // What it counts for in the bound of a cache, with its row and its places in the indexes.
  std::uint64_t bytes() const;
};

// Nothing: the answer is longer than a reply may be.
std::optional<CachedEntry> entry_of(const RequestKey& key, const KnownAnswer& answer,
                                    std::int64_t created);

// Nothing: it is damaged, or of another key.
std::optional<KnownAnswer> answer_of(const RequestKey& key, CachedEntry entry);

} // namespace gristmill::coordinator
