#include "actors/kit/program/terminal.hpp"

#include "protocol/text/json_text.hpp"

#include <cstdio>
#include <string>

namespace gristmill {
namespace {

bool put(std::string_view text, std::FILE* stream) {
  return std::fwrite(text.data(), 1, text.size(), stream) == text.size();
}

} // namespace

void say(std::string_view text) {
  put(json::printable_lines(text), stderr);
}

bool print(std::string_view text) {
  return put(json::printable_lines(text), stdout);
}

bool print_json(std::string_view text) {
  return put(json::with_hidden_escaped(text) + '\n', stdout);
}

void paint(std::string_view text) {
  put(text, stderr);
  std::fflush(stderr);
}

} // namespace gristmill
