// How a table begins: which character separates its fields, and where its header is. The header
// tells: one that has none of the usual separator, but another one, is separated by that. Excel may
// say it in a first line of its own, "sep=;". Invariant: the same beginning gives the same answer.
#pragma once

#include "actors/intake/byte_source.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::intake {

struct CsvOpening {
  char separator = ',';
  std::uint64_t offset = 0, lines = 0; // what stands before the header
};

// `head`: how the table begins; `delimiter`: what the job says, empty = nothing.
CsvOpening opening_of(std::string_view head, char usual, std::string_view delimiter);

// Up to so many bytes, however many a source gives at a time; of an input that grows its first line
// that is not blank, so that what an input is does not depend on how much of it was there.
Result<std::string> beginning_of(ByteSource& source, std::uint32_t input, std::size_t bytes_max);

} // namespace gristmill::intake
