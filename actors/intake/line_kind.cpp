#include "actors/intake/line_kind.hpp"

#include "actors/intake/input_format.hpp"

#include <algorithm>

namespace gristmill::intake {

std::size_t after_space(std::string_view text, std::size_t at) {
  return std::min(text.find_first_not_of(" \t\r\n", at), text.size());
}

namespace {

// The members of an object's own, not those of what is in it, as far as the line was read.
struct TopMembers {
  bool custom_id = false, method = false, url = false, body = false, others = false;
  bool any() const { return custom_id || method || url || body || others; }
};

std::size_t end_of_string(std::string_view line, std::size_t quote) {
  for (std::size_t at = quote + 1; at < line.size(); ++at) {
    if (line[at] == '\\')
      ++at;
    else if (line[at] == '"')
      return at;
  }
  return line.size();
}

void add(TopMembers& members, std::string_view key, char value) {
  const bool object = value == '{' || value == '\0'; // \0: not read any more
  if (key == "custom_id")
    members.custom_id = true;
  else if (key == "method")
    members.method = true;
  else if (key == "url")
    members.url = true;
  else if ((key == "body" || key == "params") && object) // params: Anthropic's
    members.body = true;
  else
    members.others = true;
}

TopMembers top_members(std::string_view line) {
  TopMembers members;
  int depth = 0;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '{' || line[at] == '[') ++depth;
    if (line[at] == '}' || line[at] == ']') --depth;
    if (line[at] != '"') continue;
    const std::size_t close = end_of_string(line, at), next = after_space(line, close + 1);
    if (depth == 1 && next < line.size() && line[next] == ':') {
      const std::size_t value = after_space(line, next + 1);
      add(members, line.substr(at + 1, close - at - 1), value < line.size() ? line[value] : '\0');
    }
    at = close;
  }
  return members;
}

// What only a request has. A line of a batch's output, ours or others', has a custom_id too, and
// asks for nothing; a log has a method and a url.
bool is_request(const TopMembers& members) {
  const bool addressed = members.method || members.url;
  return (members.body && (members.custom_id || addressed)) || (members.custom_id && addressed);
}

// A request that lacks something, and has nothing else.
bool is_poor_request(const TopMembers& members) {
  return !members.others && (members.custom_id || (members.method && members.url));
}

} // namespace

ItemKind kind_of_lines(std::string_view head) {
  constexpr int lines_max = 64, readable_max = 16;
  head = without_mark(head);
  int readable = 0;
  for (int n = 0; n < lines_max && readable < readable_max; ++n) {
    const std::size_t begin = after_space(head, 0);
    if (begin == head.size()) break;
    const std::size_t end = std::min(head.find('\n', begin), head.size());
    const std::string_view line = head.substr(begin, end - begin);
    head.remove_prefix(end);
    const TopMembers members = line.front() == '{' ? top_members(line) : TopMembers{};
    if (!members.any()) continue;
    if (is_request(members) || (readable == 0 && is_poor_request(members)))
      return ItemKind::batch_line;
    ++readable;
  }
  return ItemKind::json_object;
}

} // namespace gristmill::intake
