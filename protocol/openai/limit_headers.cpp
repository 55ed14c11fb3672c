#include "protocol/openai/limit_headers.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace gristmill::openai {
namespace {

using protocol::LimitHint;
using Name = LimitHint::Name;

constexpr double reset_s_max = 7 * 86'400;
constexpr double since_1970_least_s = 1e9, since_1970_least_ms = 1e12;

// A number at the front of `text`, which is shortened by it.
std::optional<double> take_number(std::string_view& text) {
  double number = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || !std::isfinite(number)) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return number;
}

bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text.remove_prefix(word.size());
  return true;
}

// "1h2m3.5s", as Go writes durations.
std::optional<double> seconds_of_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, double>, 6> units{
      {{"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}, {"h", 3'600}, {"m", 60}, {"s", 1}}};
  double seconds = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const auto number = take_number(text);
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const auto& u) { return take(text, u.first); });
    if (!number || *number < 0 || unit == units.end()) return std::nullopt;
    seconds += *number * unit->second;
  }
  return seconds;
}

std::optional<int> digits(std::string_view& text, std::size_t count) {
  int number = 0;
  if (text.size() < count) return std::nullopt;
  const char* end = text.data() + count;
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || stop != end || number < 0) return std::nullopt;
  text.remove_prefix(count);
  return number;
}

// "2026-01-27T12:00:00Z", with a fraction or an offset if need be.
std::optional<double> seconds_of_time(std::string_view text, std::int64_t unix_now) {
  using namespace std::chrono;
  std::array<int, 6> parts{};
  constexpr std::array<std::string_view, 6> before{"", "-", "-", "T", ":", ":"};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!take(text, before[i])) return std::nullopt;
    const auto part = digits(text, i == 0 ? 4 : 2);
    if (!part) return std::nullopt;
    parts[i] = *part;
  }
  double seconds = parts[3] * 3'600 + parts[4] * 60 + parts[5];
  if (text.starts_with('.')) seconds += take_number(text).value_or(0);
  const year_month_day date{year{parts[0]}, month{static_cast<unsigned>(parts[1])},
                            day{static_cast<unsigned>(parts[2])}};
  if (!date.ok()) return std::nullopt;
  if (text != "Z") {
    const int sign = take(text, "+") ? 1 : take(text, "-") ? -1 : 0;
    const auto hours = digits(text, 2);
    const auto minutes = hours && take(text, ":") ? digits(text, 2) : std::nullopt;
    if (sign == 0 || !minutes || !text.empty()) return std::nullopt;
    seconds -= sign * (*hours * 3'600 + *minutes * 60);
  }
  const auto days = sys_days{date}.time_since_epoch().count();
  return static_cast<double>(days * 86'400 - unix_now) + seconds;
}

std::optional<double> seconds_of_number(std::string_view text, std::int64_t unix_now) {
  const auto number = take_number(text);
  if (!number || !text.empty()) return std::nullopt;
  if (*number >= since_1970_least_ms) return *number / 1e3 - static_cast<double>(unix_now);
  if (*number >= since_1970_least_s) return *number - static_cast<double>(unix_now);
  return *number;
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
  const auto number = take_number(text);
  if (!number || !text.empty() || *number < 0 || *number > 1e15) return std::nullopt;
  return static_cast<std::int64_t>(*number);
}

} // namespace

std::optional<std::int64_t> reset_ms_of(std::string_view text, std::int64_t unix_now) {
  auto seconds = seconds_of_number(text, unix_now);
  if (!seconds) seconds = seconds_of_duration(text);
  if (!seconds) seconds = seconds_of_time(text, unix_now);
  if (!seconds) return std::nullopt;
  return static_cast<std::int64_t>(std::ceil(std::clamp(*seconds, 0.0, reset_s_max) * 1e3));
}

std::vector<LimitHint> read_limits(const Headers& headers, std::int64_t unix_now) {
  std::vector<std::pair<std::string_view, LimitHint>> said; // by the name as it is spelled
  for (const auto& [header, value] : headers) {
    const Said what = said_by(header);
    const auto name = name_of(what.name);
    if (!name) continue;
    const auto number =
        what.number == &LimitHint::reset_ms ? reset_ms_of(value, unix_now) : amount_of(value);
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
