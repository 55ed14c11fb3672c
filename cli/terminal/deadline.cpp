#include "cli/terminal/deadline.hpp"

#include <charconv>
#include <ctime>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

constexpr std::uint64_t span_max_s = 10ull * 365 * 86'400;

// An offset from UTC in seconds: "Z", "+01:00", "-0530".
std::optional<std::int64_t> offset_of(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() < 5 || (text[0] != '+' && text[0] != '-')) return std::nullopt;
  std::string digits{text.substr(1)};
  if (digits.size() == 5 && digits[2] == ':') digits.erase(2, 1);
  if (digits.size() != 4 || digits.find_first_not_of("0123456789") != digits.npos)
    return std::nullopt;
  const std::int64_t seconds =
      std::stoi(digits.substr(0, 2)) * 3'600 + std::stoi(digits.substr(2)) * 60;
  return text[0] == '-' ? -seconds : seconds;
}

std::optional<std::int64_t> time_of(const std::string& text) {
  for (const char* format :
       {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M"}) {
    std::tm parts{};
    const char* rest = ::strptime(text.c_str(), format, &parts);
    if (rest == nullptr) continue;
    if (*rest == '\0') {
      parts.tm_isdst = -1;
      return static_cast<std::int64_t>(std::mktime(&parts));
    }
    if (const auto offset = offset_of(rest))
      return static_cast<std::int64_t>(::timegm(&parts)) - *offset;
  }
  return std::nullopt;
}

} // namespace

std::optional<std::uint64_t> span_of(std::string_view text) {
  std::uint64_t number = 0, unit = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc{} || end - stop != 1) return std::nullopt;
  switch (*stop) {
  case 's': unit = 1; break;
  case 'm': unit = 60; break;
  case 'h': unit = 3'600; break;
  case 'd': unit = 86'400; break;
  default: return std::nullopt;
  }
  return number == 0 || number > span_max_s / unit ? std::nullopt : std::optional{number * unit};
}

Result<std::uint64_t> deadline_of(const std::string& text, std::int64_t unix_now) {
  if (const auto span = span_of(text)) return static_cast<std::uint64_t>(unix_now) + *span;
  const auto time = time_of(text);
  if (!time)
    return fail(
        ErrorCode::usage,
        fmt::format("--deadline: expected a time such as 2026-11-23T06:00 or a span such as "
                    "90s, 30m, 2h or 1d, got \"{}\"",
                    text));
  if (*time <= unix_now)
    return fail(ErrorCode::usage, fmt::format("--deadline: expected a time to come, got {}", text));
  return static_cast<std::uint64_t>(*time);
}

} // namespace gristmill::cli
