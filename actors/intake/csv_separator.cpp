#include "actors/intake/csv_separator.hpp"

#include "actors/intake/input_format.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

namespace gristmill::intake {
namespace {

constexpr std::array separators{',', ';', '\t', '|'};
// These stand in a text too: only in a file that has none of the others in its header.
constexpr std::array rare_separators{'^', '~', ':'};
constexpr std::size_t records_looked_at = 10;

// How often a character stands in each of the first records, outside of quotes. The last one may
// have been cut, if the head does not end with it.
std::vector<std::size_t> counts_in_records(std::string_view head, char separator) {
  std::vector<std::size_t> counts;
  std::size_t count = 0;
  bool quoted = false, begun = false;
  for (const char c : head) {
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    const bool ends = c == '\n' || c == '\r';
    if (begun && ends) {
      counts.push_back(count);
      if (counts.size() == records_looked_at) return counts;
      count = 0;
      begun = false;
    }
    begun = begun || !(ends || c == ' ');
    count += c == separator;
  }
  if (counts.empty()) counts.push_back(count);
  return counts;
}

// A separator divides every record as the header.
bool is_regular(const std::vector<std::size_t>& counts) {
  return counts.front() > 0 &&
         std::ranges::all_of(counts, [&](std::size_t count) { return count == counts.front(); });
}

// Names of columns, one by one: what is longer than a name is a sentence with a colon in it.
bool has_names_only(std::string_view head) {
  constexpr std::string_view other_than_names = " \t\"'()[]{}.,;/";
  return head.substr(0, head.find_first_of("\r\n")).find_first_of(other_than_names) == head.npos;
}

// Of those that divide all records alike the one that divides the header most; without any, the
// usual one if it is there, else the one that is there most often.
char separator_of(std::string_view head, char usual) {
  char regular = usual, found = usual;
  std::size_t most_regular = 0, most = 0;
  const auto look_at = [&](char separator) {
    const auto counts = counts_in_records(head, separator);
    if (is_regular(counts) && counts.front() > most_regular) {
      regular = separator;
      most_regular = counts.front();
    }
    if (counts.front() > most && (most == 0 || found != usual)) {
      found = separator;
      most = counts.front();
    }
  };
  look_at(usual);
  for (const char other : separators) look_at(other);
  if (most == 0 && has_names_only(head))
    for (const char other : rare_separators) look_at(other);
  return most_regular > 0 ? regular : found;
}

// As Excel has it, also in quotes, in capitals and with spaces behind.
std::optional<char> said_separator(std::string_view line) {
  while (line.ends_with(' ')) line.remove_suffix(1);
  if (line.size() == 7 && line.front() == '"' && line.back() == '"') line = line.substr(1, 5);
  const bool said = line.size() == 5 && (line.starts_with("sep=") || line.starts_with("SEP="));
  return said ? std::optional{line.back()} : std::nullopt;
}

} // namespace

CsvOpening opening_of(std::string_view head, char usual, std::string_view delimiter) {
  CsvOpening opening;
  const std::size_t mark = head.size() - without_mark(head).size();
  const std::string_view text = without_mark(head);
  const std::size_t line_end = text.find_first_of("\r\n");
  const std::string_view first = text.substr(0, line_end);
  const auto said = said_separator(first);
  if (said && line_end != text.npos) {
    const bool pair = text.substr(line_end).starts_with("\r\n");
    opening.offset = mark + line_end + (pair ? 2 : 1);
    opening.lines = 1;
    opening.separator = *said;
  } else {
    opening.separator = separator_of(text, usual);
  }
  if (!delimiter.empty()) opening.separator = delimiter.front();
  return opening;
}

namespace {

// Behind the next line that is not blank; npos: it has not ended.
std::size_t after_line(std::string_view head, std::size_t from) {
  const std::size_t begin = head.find_first_not_of(" \t\r\n", from);
  const std::size_t end = begin == head.npos ? head.npos : head.find('\n', begin);
  return end == head.npos ? head.npos : end + 1;
}

// Behind the first line that is not blank; if JSON may go on over lines, behind the second, which
// says whether it does.
std::size_t after_first_line(std::string_view head) {
  const std::size_t end = after_line(head, 0);
  if (end == head.npos) return end;
  const char last = head[head.find_last_not_of(" \t\r\n", end - 1)];
  return last == '[' || last == '{' || last == ',' ? after_line(head, end) : end;
}

} // namespace

Result<std::string> beginning_of(ByteSource& source, std::uint32_t input, std::size_t bytes_max) {
  const bool grows = source.grows(input);
  std::string head(bytes_max, '\0');
  std::size_t had = 0;
  while (had < head.size()) {
    const auto got = source.read(input, had, {head.data() + had, head.size() - had});
    GRISTMILL_TRY(got);
    if (*got == 0) break;
    had += *got;
    if (!grows) continue;
    const std::size_t line = after_first_line({head.data(), had});
    if (line == std::string::npos) continue;
    had = line;
    break;
  }
  head.resize(had);
  return head;
}

} // namespace gristmill::intake
