#include "actors/intake/text_lines.hpp"

#include "actors/intake/length_advice.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::intake {

Result<std::string> object_of_line(std::string_view line, const TextLinesOptions& options) {
  if (line.find('\0') != line.npos)
    return fail(ErrorCode::bad_input, "expected a line of text, got a NUL byte");
  if (!options.mends && !json::is_utf8(line))
    return fail(ErrorCode::bad_input, "expected UTF-8, got bytes that are not; --normalise puts "
                                      "U+FFFD in their place");
  std::string object = "{";
  json::append_string(object, options.field);
  object += ':';
  json::append_string(object, line);
  object += '}';
  if (object.size() > options.object_bytes_max)
    return fail(ErrorCode::bad_input,
                fmt::format("expected a line of at most {} bytes as a JSON object, got {}; {}",
                            options.object_bytes_max, object.size(),
                            length_advice(object.size(), options.object_bytes_max)));
  return object;
}

Result<std::optional<Record>> TextLines::next() {
  auto read = lines_.next();
  GRISTMILL_TRY(read);
  if (!*read) return read;
  Record& line = **read;
  const std::string_view text = line.text;
  object_ = "{}";
  line.text = object_;
  if (!line.fault.empty()) return read;
  auto object = object_of_line(text, options_);
  if (!object) {
    line.fault = std::move(object.error().message);
    return read;
  }
  object_ = std::move(*object);
  line.text = object_;
  line.mended = options_.mends && !json::is_utf8(text);
  return read;
}

} // namespace gristmill::intake
