// TEXT LINES: the lines of an input that are not blank, each as a JSON object with one field, so
// that everything after the intake knows objects only. Invariant: a line's object has the line's
// text, or the line says why it has not.
#pragma once

#include "actors/intake/line_records.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::intake {

struct TextLinesOptions {
  std::string field; // the object's
  std::uint64_t object_bytes_max = 0;
  bool mends = false; // bytes that are no UTF-8 become U+FFFD
};

// The error is a sentence.
Result<std::string> object_of_line(std::string_view line, const TextLinesOptions& options);

class TextLines final : public RecordReader {
public:
  TextLines(ByteSource& source, std::uint32_t input, std::uint64_t offset, std::uint64_t line,
            TextLinesOptions options)
      : options_{std::move(options)}, lines_{source, input, offset, line,
                                             options_.object_bytes_max} {}

  Result<std::optional<Record>> next() override;
  std::uint64_t offset() const override { return lines_.offset(); }
  std::uint64_t line() const override { return lines_.line(); }

private:
  TextLinesOptions options_;
  LineRecords lines_;
  std::string object_;
};

} // namespace gristmill::intake
