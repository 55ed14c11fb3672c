// LINE RECORDS: the lines of an input that are not blank, without the byte order mark.
#pragma once

#include "actors/intake/line_reader.hpp"
#include "actors/intake/record_reader.hpp"

namespace gristmill::intake {

class LineRecords final : public RecordReader {
public:
  LineRecords(ByteSource& source, std::uint32_t input, std::uint64_t offset, std::uint64_t line,
              std::uint64_t line_bytes_max)
      : lines_{source, input, offset, line_bytes_max}, line_bytes_max_{line_bytes_max}, line_{
                                                                                            line} {}

  Result<std::optional<Record>> next() override;
  std::uint64_t offset() const override { return lines_.position(); }
  std::uint64_t line() const override { return line_; }

private:
  LineReader lines_;
  std::uint64_t line_bytes_max_, line_;
};

} // namespace gristmill::intake
