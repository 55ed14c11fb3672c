// BYTE READER: bytes that are open for reading at any place, of a file or of a blob. Whoever holds
// it can go on reading when the name of what it reads is gone.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <span>

namespace gristmill::journal {

// By what it is seen that bytes are still the same.
struct ByteState {
  std::uint64_t bytes = 0;
  std::uint64_t modified_ns = 0; // when they were written
  std::uint64_t number = 0;      // another where others have taken their place
  bool operator==(const ByteState&) const = default;
};

class ByteReader {
public:
  virtual ~ByteReader() = default;
  // Up to into.size() bytes; 0 = they are at their end. An error says why in words, without saying
  // of what.
  virtual Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const = 0;
  virtual ByteState state() const = 0; // now
};

// Fewer than asked for only where they end.
inline Result<std::size_t> read_fully(const ByteReader& reader, std::uint64_t offset,
                                      std::span<char> into) {
  std::size_t had = 0;
  while (had < into.size()) {
    const auto got = reader.read(offset + had, into.subspan(had));
    GRISTMILL_TRY(got);
    if (*got == 0) break;
    had += *got;
  }
  return had;
}

} // namespace gristmill::journal
