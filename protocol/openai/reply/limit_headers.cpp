#include "protocol/openai/reply/limit_headers.hpp"
#include "protocol/openai/reply/reply_headers.hpp"

#include "protocol/text/header_time.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

namespace gristmill::openai {
namespace {

using protocol::LimitHint;
using Name = LimitHint::Name;

constexpr double reset_s_max = 7 * 86'400;

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// A header's name taken apart: which limit, and which of its numbers.
struct Said {
  std::string_view name;
  std::int64_t LimitHint::*number = nullptr;
};

Said said_by(std::string_view header) {
  constexpr std::array<std::pair<std::string_view, std::int64_t LimitHint::*>, 3> numbers{
      {{"limit", &LimitHint::limit},
       {"remaining", &LimitHint::remaining},
       {"reset", &LimitHint::reset_ms}}};
  const bool word_first = take(header, "x-ratelimit-");
  if (!word_first && !take(header, "anthropic-ratelimit-")) return {};
  for (const auto& [word, number] : numbers) {
    const std::size_t more = word.size() + 1;
    if (header.size() <= more) continue;
    if (word_first && header.starts_with(word) && header[word.size()] == '-')
      return {header.substr(more), number};
    if (!word_first && header.ends_with(word) && header[header.size() - more] == '-')
      return {header.substr(0, header.size() - more), number};
  }
  return {};
}

std::optional<Name> name_of(std::string_view name) {
  if (name == "requests") return Name::requests;
  if (name == "tokens") return Name::tokens;
  if (name.find("request") != std::string_view::npos) return Name::other_requests;
  if (name.find("token") != std::string_view::npos) return Name::other_tokens;
  return std::nullopt;
}

std::optional<std::int64_t> amount_of(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || !(number >= 0) || number > 1e15) return std::nullopt;
  return static_cast<std::int64_t>(number);
}

} // namespace

std::optional<std::int64_t> reset_ms_of(std::string_view text, std::int64_t unix_now) {
  const auto seconds = seconds_until(text, unix_now);
  if (!seconds) return std::nullopt;
  return static_cast<std::int64_t>(std::ceil(std::clamp(*seconds, 0.0, reset_s_max) * 1e3));
}

std::vector<LimitHint> read_limits(const Headers& headers, std::int64_t server_now) {
  std::vector<std::pair<std::string_view, LimitHint>> said; // by the name as it is spelled
  for (const auto& [header, value] : headers) {
    const Said what = said_by(header);
    const auto name = name_of(what.name);
    if (!name) continue;
    const auto number =
        what.number == &LimitHint::reset_ms ? reset_ms_of(value, server_now) : amount_of(value);
    if (!number) continue;
    auto hint = std::find_if(said.begin(), said.end(),
                             [&](const auto& other) { return other.first == what.name; });
    if (hint == said.end()) hint = said.insert(said.end(), {what.name, {*name, -1, -1, -1}});
    hint->second.*what.number = *number;
  }
  std::vector<LimitHint> hints;
  for (const auto& entry : said) { // no structured binding: clang 14 does not capture one
    const LimitHint& hint = entry.second;
    const auto same = std::find_if(hints.begin(), hints.end(),
                                   [&](const LimitHint& other) { return other.name == hint.name; });
    if (same == hints.end())
      hints.push_back(hint);
    else if (hint.remaining >= 0 && (same->remaining < 0 || hint.remaining < same->remaining))
      *same = hint;
  }
  return hints;
}

} // namespace gristmill::openai
