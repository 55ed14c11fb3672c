#include "protocol/openai/reply/reply_headers.hpp"

#include "protocol/limits.hpp"
#include "protocol/text/header_time.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace gristmill::openai {
namespace {

constexpr auto wait_ms_max = static_cast<double>(retry_after_ms_max);

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

std::int64_t wait_ms_of(const Headers& headers, std::int64_t server_now) {
  const auto clamped = [](double wait_ms) {
    return static_cast<std::int64_t>(std::ceil(std::clamp(wait_ms, 0.0, wait_ms_max)));
  };
  const std::string_view ms = trimmed(value_of(headers, "retry-after-ms"));
  double number = 0;
  const auto [stop, error] = std::from_chars(ms.data(), ms.data() + ms.size(), number);
  if (!ms.empty() && error == std::errc{} && stop == ms.data() + ms.size() && std::isfinite(number))
    return clamped(number);
  if (const auto seconds = seconds_until(value_of(headers, "retry-after"), server_now))
    return clamped(*seconds * 1e3);
  return -1;
}

} // namespace

std::int64_t server_time(const Headers& headers, std::int64_t unix_now) {
  const auto ahead = seconds_until(value_of(headers, "date"), unix_now);
  return ahead ? unix_now + std::llround(*ahead) : unix_now;
}

ReplyHeaders read_headers(const Headers& headers, std::int64_t server_now) {
  ReplyHeaders read;
  read.retry_after_ms = wait_ms_of(headers, server_now);
  const std::string_view should = trimmed(value_of(headers, "x-should-retry"));
  if (should == "true") read.should_retry = true;
  if (should == "false") read.should_retry = false;
  std::string_view id = value_of(headers, "x-request-id");
  if (id.empty()) id = value_of(headers, "request-id");
  read.request_id = json::printable(id, limits::name_bytes_max);
  read.encoding = json::printable(value_of(headers, "content-encoding"), limits::name_bytes_max);
  return read;
}

} // namespace gristmill::openai
