#include "actors/intake/line_records.hpp"

#include "actors/intake/input_format.hpp"
#include "actors/intake/length_advice.hpp"

#include <fmt/format.h>

namespace gristmill::intake {

Result<std::optional<Record>> LineRecords::next() {
  for (;;) {
    const auto line = lines_.next();
    GRISTMILL_TRY(line);
    if (!*line) return std::nullopt;
    ++line_;
    Record record{(*line)->text, (*line)->offset, (*line)->text.size(), line_, {}};
    if (record.offset == 0 && record.text.starts_with(byte_order_mark)) {
      record.text.remove_prefix(byte_order_mark.size());
      record.offset = byte_order_mark.size();
      record.bytes = record.text.size();
    }
    if ((*line)->too_long) {
      record.bytes = 0; // nothing of it is read again
      record.fault = fmt::format("expected a line of at most {} bytes, got {}; {}", line_bytes_max_,
                                 (*line)->bytes, length_advice((*line)->bytes, line_bytes_max_));
      return record;
    }
    if (!is_blank(record.text)) return record;
  }
}

} // namespace gristmill::intake
