#include "protocol/openai/errors/body.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gristmill::openai {
namespace {

// Enough of a page to find what it says.
constexpr std::size_t page_bytes_max = 16'384;

std::string without_entities(std::string text) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 6> entities{{{"&lt;", "<"},
                                                                                   {"&gt;", ">"},
                                                                                   {"&quot;", "\""},
                                                                                   {"&#39;", "'"},
                                                                                   {"&nbsp;", " "},
                                                                                   {"&amp;", "&"}}};
  for (const auto& [name, character] : entities)
    for (std::size_t at = text.find(name); at != text.npos; at = text.find(name, at + 1))
      text.replace(at, name.size(), character);
  return text;
}

std::string one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    const bool space = static_cast<unsigned char>(c) <= ' ';
    if (!space)
      line += c;
    else if (!line.empty() && line.back() != ' ')
      line += ' ';
  }
  if (line.ends_with(' ')) line.pop_back();
  return line;
}

// The text without tags, and without what nobody sees.
std::string visible(std::string_view page, std::string_view small) {
  std::string text;
  for (std::size_t at = 0; at < page.size();) {
    if (page[at] != '<') {
      text += page[at++];
      continue;
    }
    for (const std::string_view hidden : {"<style", "<script", "<!--"}) {
      if (small.substr(at, hidden.size()) != hidden) continue;
      const std::string_view end = hidden == "<!--"     ? "-->"
                                   : hidden == "<style" ? "</style"
                                                        : "</script";
      at = std::min(small.find(end, at), page.size() - 1);
      break;
    }
    const std::size_t close = page.find('>', at);
    if (close == page.npos) break;
    text += ' ';
    at = close + 1;
  }
  return one_line(without_entities(std::move(text)));
}

std::string element(std::string_view page, std::string_view small, std::string_view open,
                    std::string_view close) {
  const std::size_t begin = small.find(open);
  const std::size_t from = begin == small.npos ? small.npos : small.find('>', begin);
  const std::size_t to = from == small.npos ? small.npos : small.find(close, from);
  if (to == small.npos) return {};
  return visible(page.substr(from + 1, to - from - 1), small.substr(from + 1, to - from - 1));
}

} // namespace

std::string words_of_page(std::string_view text, std::size_t bytes_max) {
  text = text.substr(0, page_bytes_max);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == text.npos || text[first] != '<') return json::printable(text, bytes_max);
  const std::string small = json::small_letters(text);
  std::string words = element(text, small, "<title", "</title");
  if (words.empty()) words = element(text, small, "<h1", "</h1");
  if (words.empty()) words = visible(text, small);
  return json::printable(words.empty() ? text : std::string_view{words}, bytes_max);
}

} // namespace gristmill::openai
