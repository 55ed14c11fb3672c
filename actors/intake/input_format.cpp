#include "actors/intake/input_format.hpp"

#include <algorithm>
#include <initializer_list>

namespace gristmill::intake {
namespace {

constexpr std::string_view space = " \t\r\n";

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

// A line with a NUL among others is a bad line; a file in which few lines begin like an object is
// no file of lines at all.
std::string_view why_binary(std::string_view head) {
  if (head.starts_with("\xFF\xFE") || head.starts_with("\xFE\xFF"))
    return "a file in UTF-16; convert it to UTF-8";
  if (head.find('\0') == head.npos) return {};
  std::size_t lines = 0, objects = 0;
  for (std::size_t at = head.find_first_not_of(space); at != head.npos;) {
    ++lines;
    objects += head[at] == '{';
    at = head.find_first_not_of(space, std::min(head.find('\n', at), head.size()));
  }
  return objects * 2 >= lines ? std::string_view{} : "a binary file (it has NUL bytes)";
}

bool is_batch(std::string_view head) {
  const std::string_view first = head.substr(0, head.find('\n'));
  const auto names = [&](std::string_view key) { return first.find(key) != first.npos; };
  return names("\"custom_id\"") || (names("\"method\"") && names("\"url\""));
}

} // namespace

InputFormat format_of(std::string_view name, std::string_view head) {
  using Shape = InputFormat::Shape;
  name = name_inside(name);
  if (is_document(name)) return {};
  head = without_mark(head);
  if (is_table(name)) {
    const char separator = has_suffix(name, ".tsv") ? '\t' : ',';
    return {Shape::table, ItemKind::json_object, separator, {}};
  }
  const std::string_view begin = head.substr(std::min(head.find_first_not_of(space), head.size()));
  if (!is_lines(name) && !begin.starts_with('{')) return {};
  if (const auto why = why_binary(head); !why.empty())
    return {Shape::binary, ItemKind::text, ',', why};
  return {Shape::lines, is_batch(begin) ? ItemKind::batch_line : ItemKind::json_object, ',', {}};
}

bool has_known_suffix(std::string_view name) {
  name = name_inside(name);
  return is_lines(name) || is_table(name) || is_document(name);
}

std::string_view without_mark(std::string_view text) {
  if (text.starts_with(byte_order_mark)) text.remove_prefix(byte_order_mark.size());
  return text;
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(space) == line.npos;
}

} // namespace gristmill::intake
