// RECORD READER cuts one input into records: the lines of a JSONL file, or the rows of a table as
// JSON objects. What is wrong with a record as such is said by the record. Invariant: whoever
// begins at offset and line of a reader, or of a record, gets the records that follow.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::intake {

struct Record {
  // Valid until the next one is read. When there is a fault, what may tell the record's id.
  std::string_view text;
  std::uint64_t offset = 0, bytes = 0; // in the input
  std::uint64_t line = 0;              // its first one, from 1
  std::string fault;
  bool mended = false; // it had bytes that were no UTF-8
};

class RecordReader {
public:
  virtual ~RecordReader() = default;
  virtual Result<std::optional<Record>> next() = 0; // nothing at the end
  virtual std::uint64_t offset() const = 0;         // the first byte after the last record
  virtual std::uint64_t line() const = 0;           // lines read before it
};

} // namespace gristmill::intake
