#include "actors/intake/input_format.hpp"

#include "actors/intake/line_kind.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

namespace gristmill::intake {
namespace {

constexpr std::string_view space = " \t\r\n";

constexpr std::string_view utf16 =
    "expected UTF-8, got a text in UTF-16; convert it, for instance with iconv -f UTF-16 -t UTF-8";
constexpr std::string_view utf32 =
    "expected UTF-8, got a text in UTF-32; convert it, for instance with iconv -f UTF-32 -t UTF-8";
constexpr std::string_view unmarked_16le =
    "expected UTF-8, got a text in UTF-16 without a byte order mark; convert it, for instance with "
    "iconv -f UTF-16LE -t UTF-8";
constexpr std::string_view unmarked_16be =
    "expected UTF-8, got a text in UTF-16 without a byte order mark; convert it, for instance with "
    "iconv -f UTF-16BE -t UTF-8";
constexpr std::string_view unmarked_32le =
    "expected UTF-8, got a text in UTF-32 without a byte order mark; convert it, for instance with "
    "iconv -f UTF-32LE -t UTF-8";
constexpr std::string_view unmarked_32be =
    "expected UTF-8, got a text in UTF-32 without a byte order mark; convert it, for instance with "
    "iconv -f UTF-32BE -t UTF-8";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
}

// Names from elsewhere are often in capitals.
bool has_suffix(std::string_view name, std::string_view suffix) {
  if (name.size() < suffix.size()) return false;
  name.remove_prefix(name.size() - suffix.size());
  return std::equal(name.begin(), name.end(), suffix.begin(),
                    [](char a, char b) { return lower(a) == b; });
}

bool has_suffix(std::string_view name, std::initializer_list<std::string_view> suffixes) {
  return std::any_of(suffixes.begin(), suffixes.end(),
                     [&](std::string_view suffix) { return has_suffix(name, suffix); });
}

std::string_view name_inside(std::string_view name) {
  for (const std::string_view suffix : {".gz", ".zst"})
    if (has_suffix(name, suffix)) return name.substr(0, name.size() - suffix.size());
  return name;
}

bool is_lines(std::string_view name) {
  return has_suffix(name, {".jsonl", ".ndjson", ".json"});
}
bool is_table(std::string_view name) {
  return has_suffix(name, {".csv", ".tsv"});
}
bool is_document(std::string_view name) {
  return has_suffix(name, {".txt", ".md"});
}

// How often a zero byte stands at each place of the units of so many bytes.
struct Zeros {
  std::array<std::size_t, 4> at{};
  std::size_t units = 0;
  bool many(std::size_t place) const { return at[place] * 10 >= units * 9; }
  bool most(std::size_t place) const { return at[place] * 4 >= units * 3; }
  bool few(std::size_t place) const { return at[place] * 8 <= units; }
};
Zeros zeros_of(std::string_view head, std::size_t width) {
  Zeros zeros;
  zeros.units = head.size() / width;
  for (std::size_t i = 0; i < zeros.units * width; ++i) zeros.at[i % width] += head[i] == '\0';
  return zeros;
}

// Letters of alphabets, syllables, ideographs and what stands between them.
bool is_common(unsigned unit) {
  return (unit >= 0x20 && unit < 0x1100) || (unit >= 0x2000 && unit < 0x2070) ||
         (unit >= 0x3000 && unit < 0xa000) || (unit >= 0xac00 && unit < 0xd7b0) ||
         (unit >= 0xff00 && unit < 0xfff0) || unit == '\t' || unit == '\n' || unit == '\r';
}

bool is_half(unsigned unit, unsigned from) {
  return unit >= from && unit < from + 0x400;
}

// How many units of a text in UTF-16 are what people write; none if one of them is no character: a
// control, half of a pair.
std::size_t common_units(std::string_view head, bool little) {
  const auto unit_at = [&](std::size_t at) {
    const auto high = static_cast<unsigned char>(head[at + (little ? 1 : 0)]),
               low = static_cast<unsigned char>(head[at + (little ? 0 : 1)]);
    return static_cast<unsigned>(high << 8 | low);
  };
  std::size_t common = 0;
  for (std::size_t at = 0; at + 1 < head.size(); at += 2) {
    const unsigned unit = unit_at(at);
    common += is_common(unit);
    if (unit < 0x20 && !is_common(unit)) return 0;
    if (unit >= 0xfffe || is_half(unit, 0xdc00)) return 0;
    if (!is_half(unit, 0xd800)) continue;
    at += 2;
    if (at + 1 < head.size() && !is_half(unit_at(at), 0xdc00)) return 0;
    common += 2;
  }
  return common;
}

// Of a script whose letters have few zeros: a text in one order of the bytes, and less of one in
// the other.
std::string_view unmarked_utf16(std::string_view head) {
  constexpr std::size_t units_least = 8;
  const std::size_t units = head.size() / 2;
  if (units < units_least || json::is_utf8(head)) return {};
  const std::size_t little = common_units(head, true), big = common_units(head, false);
  if (little == big || std::max(little, big) * 10 < units * 9) return {};
  return little > big ? unmarked_16le : unmarked_16be;
}

// A line with a NUL among others is a bad line; a file in which few lines begin like an object is
// no file of lines at all.
std::string_view why_binary(std::string_view head) {
  if (head.find('\0') == head.npos) return {};
  std::size_t lines = 0, objects = 0;
  for (std::size_t at = head.find_first_not_of(space); at != head.npos;) {
    ++lines;
    objects += head[at] == '{';
    at = head.find_first_not_of(space, std::min(head.find('\n', at), head.size()));
  }
  return objects * 2 >= lines ? std::string_view{}
                              : "expected lines of JSON, got a binary file (it has NUL bytes)";
}

bool ends_in_string(std::string_view line) {
  bool inside = false;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (inside && line[at] == '\\')
      ++at;
    else if (line[at] == '"')
      inside = !inside;
  }
  return inside;
}

// Whether the object or array that begins a text goes on over lines as formatters write it. A line
// that was cut off is something else: it ends anywhere, and another object follows.
bool is_pretty_printed(std::string_view begin) {
  const std::size_t line_end = std::min(begin.find('\n'), begin.size());
  const std::string_view first = begin.substr(0, line_end);
  const std::size_t last = first.find_last_not_of(space), next = after_space(begin, line_end);
  if (last == first.npos || next == begin.size() || ends_in_string(first)) return false;
  switch (first[last]) {
  case '[': return true;
  case '{': return begin[next] == '"' || begin[next] == '}';
  case ',': return begin[next] == '"' || begin.starts_with('[');
  default: return false;
  }
}

// Whether a text is one array: it goes on over lines, or nothing but space follows its line, or its
// line is longer than what was read.
bool is_array(std::string_view begin) {
  if (!begin.starts_with('[')) return false;
  const std::size_t line_end = std::min(begin.find('\n'), begin.size());
  return is_pretty_printed(begin) || after_space(begin, line_end) == begin.size();
}

std::string_view why_no_lines(std::string_view head, std::string_view begin) {
  if (is_array(begin))
    return "expected one JSON object a line, got a JSON array; make lines of its elements, for "
           "instance with jq -c '.[]'";
  if (is_pretty_printed(begin))
    return "expected one JSON object a line, got JSON that goes on over several lines; make one "
           "line of each object, for instance with jq -c .";
  return why_binary(head);
}

// Markdown and minutes may begin with a bracket, too.
bool begins_array_of_objects(std::string_view begin) {
  return begin.starts_with('[') && begin.substr(after_space(begin, 1)).starts_with('{');
}

} // namespace

namespace {

// Nothing: nobody has said what it is.
std::optional<InputFormat> format_said(InputForm form) {
  using Shape = InputFormat::Shape;
  switch (form) {
  case InputForm::automatic: return std::nullopt;
  case InputForm::batch: return InputFormat{Shape::lines, ItemKind::batch_line, ',', {}};
  case InputForm::jsonl: return InputFormat{Shape::lines, ItemKind::json_object, ',', {}};
  case InputForm::csv: return InputFormat{Shape::table, ItemKind::json_object, ',', {}};
  case InputForm::tsv: return InputFormat{Shape::table, ItemKind::json_object, '\t', {}};
  case InputForm::text: return InputFormat{};
  case InputForm::lines: return InputFormat{Shape::texts, ItemKind::json_object, ',', {}};
  }
  return std::nullopt;
}

} // namespace

InputFormat format_of(std::string_view name, std::string_view head, InputForm form) {
  using Shape = InputFormat::Shape;
  name = name_inside(name);
  if (const auto why = why_other_encoding(head); !why.empty())
    return {Shape::refused, ItemKind::text, ',', why};
  if (const auto said = format_said(form)) return *said;
  if (is_document(name)) return {};
  head = without_mark(head);
  if (is_table(name)) {
    const char separator = has_suffix(name, ".tsv") ? '\t' : ',';
    return {Shape::table, ItemKind::json_object, separator, {}};
  }
  const std::string_view begin = head.substr(after_space(head, 0));
  if (!is_lines(name) && !begin.starts_with('{') && !begins_array_of_objects(begin)) return {};
  if (const auto why = why_no_lines(head, begin); !why.empty())
    return {Shape::refused, ItemKind::text, ',', why};
  return {Shape::lines, kind_of_lines(begin), ',', {}};
}

bool has_known_suffix(std::string_view name) {
  name = name_inside(name);
  return is_lines(name) || is_table(name) || is_document(name);
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  return text;
}

std::string_view why_other_encoding(std::string_view head) {
  using namespace std::string_view_literals;
  if (head.starts_with("\xFF\xFE\0\0"sv) || head.starts_with("\0\0\xFE\xFF"sv)) return utf32;
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF")) return utf16;
  if (head.find('\0') == head.npos) return {};
  // In pairs, between the letters of Latin script; in fours, before or behind every letter.
  const Zeros fours = zeros_of(head, 4), pairs = zeros_of(head, 2);
  const bool four_le = fours.many(2) && fours.many(3) && fours.few(0);
  const bool four_be = fours.many(0) && fours.many(1) && fours.few(3);
  if (fours.units > 1 && (four_le || four_be)) return four_le ? unmarked_32le : unmarked_32be;
  const bool two_le = pairs.most(1) && pairs.few(0), two_be = pairs.most(0) && pairs.few(1);
  if (pairs.units > 1 && (two_le || two_be)) return two_le ? unmarked_16le : unmarked_16be;
  return unmarked_utf16(head);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(space) == line.npos;
}

} // namespace gristmill::intake
