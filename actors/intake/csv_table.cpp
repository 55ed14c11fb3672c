#include "actors/intake/csv_table.hpp"

#include "actors/intake/csv_separator.hpp"
#include "actors/intake/length_advice.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <unordered_set>

namespace gristmill::intake {
namespace {

tl::unexpected<Error> bad(std::string message) {
  return fail(ErrorCode::bad_input, std::move(message));
}

// Why a field cannot be the text of a JSON string; empty = it can.
std::string_view fault_of(std::string_view field, bool mends) {
  if (field.find('\0') != field.npos) return "text, got a NUL byte";
  if (!mends && !json::is_utf8(field))
    return "UTF-8, got bytes that are not; convert the file, or --normalise puts U+FFFD in their "
           "place";
  return {};
}

bool has_other_bytes(const CsvParser& row) {
  return std::any_of(row.fields().begin(), row.fields().end(),
                     [](const std::string& field) { return !json::is_utf8(field); });
}

constexpr std::size_t head_bytes = 64 * 1024;

} // namespace

Result<CsvHeader> read_csv_header(ByteSource& source, std::uint32_t input, const std::string& name,
                                  const CsvOptions& options) {
  auto head = beginning_of(source, input, head_bytes);
  GRISTMILL_TRY(head);
  const CsvOpening opening = opening_of(*head, options.usual, options.delimiter);
  CsvReader reader{
      source,     input, opening.offset, opening.lines, opening.separator, options.record_bytes_max,
      columns_max};
  const auto record = reader.next();
  GRISTMILL_TRY(record);
  CsvHeader header;
  header.separator = opening.separator;
  header.offset = reader.offset();
  header.line = reader.line();
  header.mends = options.mends;
  if (!*record) return header;
  const auto refuse = [&](std::string_view why) {
    return bad(fmt::format("{}:{}: expected a header with the columns' names: {}", name,
                           (*record)->line, why));
  };
  if (!(*record)->fault.empty()) return refuse((*record)->fault);
  const CsvParser& parsed = *(*record)->parsed;
  if (parsed.count() > columns_max)
    return refuse(fmt::format("expected at most {} columns, got {}", columns_max, parsed.count()));
  std::unordered_set<std::string> names;
  for (std::size_t i = 0; i < parsed.fields().size(); ++i) {
    const std::string column =
        options.mends ? json::as_utf8(parsed.fields()[i]) : parsed.fields()[i];
    if (const auto fault = fault_of(column, options.mends); !fault.empty())
      return refuse(fmt::format("expected {} (column {})", fault, i + 1));
    if (column.empty()) {
      header.keys.emplace_back();
      continue;
    }
    if (!names.insert(column).second)
      return refuse(fmt::format("two columns have the name \"{}\"; rename one",
                                json::printable(column, 100)));
    std::string key;
    json::append_string(key, column);
    header.keys.push_back(key + ':');
  }
  if (names.empty()) return refuse("no column has a name");
  return header;
}

Result<std::string> csv_object(const CsvHeader& header, const CsvParser& row,
                               std::uint64_t object_bytes_max) {
  if (row.count() != header.keys.size())
    return bad(fmt::format("expected {} fields as in the header, got {}", header.keys.size(),
                           row.count()));
  std::string object = "{";
  for (std::size_t i = 0; i < header.keys.size(); ++i) {
    if (const auto fault = fault_of(row.fields()[i], header.mends); !fault.empty())
      return bad(fmt::format(
          "expected {} (in {})", fault,
          json::printable(std::string_view{header.keys[i]}.substr(0, header.keys[i].size() - 1),
                          100)));
    if (header.keys[i].empty()) continue;
    if (object.size() > 1) object += ',';
    object += header.keys[i];
    json::append_string(object, row.fields()[i]);
  }
  object += '}';
  if (object.size() > object_bytes_max)
    return bad(fmt::format("expected a record of at most {} bytes as a JSON object, got {}; {}",
                           object_bytes_max, object.size(),
                           length_advice(object.size(), object_bytes_max)));
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

// What of a faulty row can be told, as an object that says nothing of the others.
void CsvTable::keep_readable(const std::vector<std::string>& fields, std::size_t count) {
  constexpr std::size_t field_bytes_max = 1'024; // longer ones are no ids
  object_.assign(1, '{');
  for (std::size_t i = 0; i < std::min({fields.size(), header_.keys.size(), count}); ++i) {
    if (header_.keys[i].empty() || fields[i].size() > field_bytes_max ||
        !fault_of(fields[i], header_.mends).empty())
      continue;
    if (object_.size() > 1) object_ += ',';
    object_ += header_.keys[i];
    json::append_string(object_, fields[i]);
  }
  object_ += '}';
}

Result<std::optional<Record>> CsvTable::next() {
  auto read = reader_.next();
  GRISTMILL_TRY(read);
  if (!*read) return std::nullopt;
  CsvRecord& row = **read;
  Record record{{}, row.offset, row.bytes, row.line, std::move(row.fault)};
  if (!record.fault.empty()) {
    keep_readable(row.before_fault, columns_max);
    record.text = object_;
    return record;
  }
  auto object = csv_object(header_, *row.parsed, object_bytes_max_);
  if (object) {
    object_ = std::move(*object);
    record.text = object_;
    record.mended = header_.mends && has_other_bytes(*row.parsed);
  } else {
    record.fault = std::move(object.error().message);
    // With a separator too many, nobody knows behind which field it stands, but the first is first.
    const bool too_many = row.parsed->count() > header_.keys.size();
    keep_readable(row.parsed->fields(), too_many ? 1 : columns_max);
    record.text = object_;
    if (row.lines > 1)
      record.fault += fmt::format("; the record goes on to line {}", row.line + row.lines - 1);
  }
  return record;
}

} // namespace gristmill::intake
