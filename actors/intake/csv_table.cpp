#include "actors/intake/csv_table.hpp"

#include "protocol/openai/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

namespace gristmill::intake {
namespace {

namespace json = openai::json;

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

// Why a field cannot be the text of a JSON string; empty = it can.
std::string_view fault_of(std::string_view field) {
  if (field.find('\0') != field.npos) return "text, got a NUL byte";
  if (!json::is_utf8(field)) return "UTF-8, got bytes that are not; convert the file";
  return {};
}

} // namespace

Result<CsvHeader> read_csv_header(ByteSource& source, std::uint32_t input, const std::string& name,
                                  char separator, std::uint64_t record_bytes_max) {
  CsvReader reader{source, input, 0, 0, separator, record_bytes_max, columns_max};
  const auto record = reader.next();
  if (!record) return tl::unexpected{record.error()};
  CsvHeader header;
  header.separator = separator;
  header.offset = reader.offset();
  header.line = reader.line();
  if (!*record) return header;
  const auto refuse = [&](std::string_view why) {
    return bad(fmt::format("{}:{}: expected a header with the columns' names: {}", name,
                           (*record)->line, why));
  };
  if (!(*record)->fault.empty()) return refuse((*record)->fault);
  const CsvParser& parsed = *(*record)->parsed;
  if (parsed.count() > columns_max)
    return refuse(fmt::format("expected at most {} columns, got {}", columns_max, parsed.count()));
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < parsed.fields().size(); ++i) {
    const std::string& column = parsed.fields()[i];
    if (const auto fault = fault_of(column); !fault.empty())
      return refuse(fmt::format("expected {} (column {})", fault, i + 1));
    if (column.empty()) return refuse(fmt::format("column {} has no name; give it one", i + 1));
    if (!names.insert(column).second)
      return refuse(fmt::format("two columns have the name \"{}\"; rename one",
                                json::printable(column, 100)));
    std::string key;
    json::append_string(key, column);
    header.keys.push_back(key + ':');
  }
  return header;
}

Result<std::string> csv_object(const CsvHeader& header, const CsvParser& row,
                               std::uint64_t object_bytes_max) {
  if (row.count() != header.keys.size())
    return bad(fmt::format("expected {} fields as in the header, got {}", header.keys.size(),
                           row.count()));
  std::string object = "{";
  for (std::size_t i = 0; i < header.keys.size(); ++i) {
    if (const auto fault = fault_of(row.fields()[i]); !fault.empty())
      return bad(fmt::format(
          "expected {} (in {})", fault,
          json::printable(std::string_view{header.keys[i]}.substr(0, header.keys[i].size() - 1),
                          100)));
    if (i > 0) object += ',';
    object += header.keys[i];
    json::append_string(object, row.fields()[i]);
  }
  object += '}';
  if (object.size() > object_bytes_max)
    return bad(fmt::format("expected a record of at most {} bytes as a JSON object, got {}; raise "
                           "--max-line-bytes",
                           object_bytes_max, object.size()));
  return object;
}

Result<std::string> csv_object(const CsvHeader& header, std::string_view row,
                               std::uint64_t object_bytes_max) {
  CsvParser parser{header.separator, header.keys.size()};
  auto state = parser.feed(row);
  if (state == CsvParser::State::open) state = parser.finish();
  if (state != CsvParser::State::complete)
    return bad("expected one record of a table, got another text");
  return csv_object(header, parser, object_bytes_max);
}

Result<std::optional<Record>> CsvTable::next() {
  auto read = reader_.next();
  if (!read) return tl::unexpected{read.error()};
  if (!*read) return std::nullopt;
  CsvRecord& row = **read;
  Record record{{}, row.offset, row.bytes, row.line, std::move(row.fault)};
  if (!record.fault.empty()) return record;
  auto object = csv_object(header_, *row.parsed, object_bytes_max_);
  if (object) {
    object_ = std::move(*object);
    record.text = object_;
  } else {
    record.fault = std::move(object.error().message);
    if (row.lines > 1)
      record.fault += fmt::format("; the record goes on to line {}", row.line + row.lines - 1);
  }
  return record;
}

} // namespace gristmill::intake
