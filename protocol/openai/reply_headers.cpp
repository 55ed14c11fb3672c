#include "protocol/openai/reply_headers.hpp"

#include "protocol/limits.hpp"
#include "protocol/openai/json_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>

namespace gristmill::openai {
namespace {

constexpr double wait_ms_max = 600'000;

std::string_view value_of(const Headers& headers, std::string_view name) {
  for (const auto& [header, value] : headers)
    if (header == name) return value;
  return {};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::optional<double> number_of(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  if (text.empty() || error != std::errc{} || stop != end || !std::isfinite(number))
    return std::nullopt;
  return number;
}

std::optional<int> digits_of(std::string_view text, std::size_t at, std::size_t count) {
  int number = 0;
  const char* from = text.data() + at;
  const auto [stop, error] = std::from_chars(from, from + count, number);
  if (error != std::errc{} || stop != from + count || number < 0) return std::nullopt;
  return number;
}

// "Sun, 06 Nov 1994 08:49:37 GMT", the one form of an HTTP date that is still sent.
std::optional<std::int64_t> unix_time_of(std::string_view text) {
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != 29 || !text.ends_with(" GMT")) return std::nullopt;
  const std::size_t month = months.find(text.substr(8, 3));
  const auto day = digits_of(text, 5, 2), year = digits_of(text, 12, 4);
  const auto hour = digits_of(text, 17, 2), minute = digits_of(text, 20, 2);
  const auto second = digits_of(text, 23, 2);
  if (month == std::string_view::npos || month % 3 != 0) return std::nullopt;
  if (!day || !year || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days{date}.time_since_epoch().count();
  return ((days * 24 + *hour) * 60 + *minute) * 60 + *second;
}

std::int64_t clamped_ms(double wait_ms) {
  return static_cast<std::int64_t>(std::ceil(std::clamp(wait_ms, 0.0, wait_ms_max)));
}

std::int64_t wait_ms_of(const Headers& headers, std::int64_t unix_now) {
  if (const auto ms = number_of(trimmed(value_of(headers, "retry-after-ms"))))
    return clamped_ms(*ms);
  const std::string_view after = trimmed(value_of(headers, "retry-after"));
  if (const auto seconds = number_of(after)) return clamped_ms(*seconds * 1'000);
  if (const auto at = unix_time_of(after))
    return clamped_ms(static_cast<double>(*at - unix_now) * 1'000);
  return -1;
}

} // namespace

ReplyHeaders read_headers(const Headers& headers, std::int64_t unix_now) {
  ReplyHeaders read;
  read.retry_after_ms = wait_ms_of(headers, unix_now);
  const std::string_view should = trimmed(value_of(headers, "x-should-retry"));
  if (should == "true") read.should_retry = true;
  if (should == "false") read.should_retry = false;
  std::string_view id = value_of(headers, "x-request-id");
  if (id.empty()) id = value_of(headers, "request-id");
  read.request_id = json::printable(id, limits::name_bytes_max);
  return read;
}

} // namespace gristmill::openai
