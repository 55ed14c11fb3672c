#include "protocol/text/header_time.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cmath>
#include <string>

namespace gristmill {
namespace {

// Nobody waits as long as this from now, and no moment is as early.
constexpr double since_1970_least_s = 1e9, since_1970_least_ms = 1e12, since_1970_least_us = 1e15;
constexpr double sentence_wait_s_max = 86'400;

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

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

std::optional<double> seconds_of_number(std::string_view text, std::int64_t unix_now) {
  const auto number = take_number(text);
  if (!number || !text.empty()) return std::nullopt;
  const auto now = static_cast<double>(unix_now);
  if (*number >= since_1970_least_us) return *number / 1e6 - now;
  if (*number >= since_1970_least_ms) return *number / 1e3 - now;
  if (*number >= since_1970_least_s) return *number - now;
  return *number;
}

struct Unit {
  std::string_view name;
  double seconds;
};
// Longer names of the same beginning come first.
constexpr std::array<Unit, 14> units{{{"ms", 1e-3},
                                      {"us", 1e-6},
                                      {"\xc2\xb5s", 1e-6},
                                      {"ns", 1e-9},
                                      {"hour", 3'600},
                                      {"hr", 3'600},
                                      {"h", 3'600},
                                      {"millisecond", 1e-3},
                                      {"min", 60},
                                      {"m", 60},
                                      {"sec", 1},
                                      {"s", 1},
                                      {"day", 86'400},
                                      {"d", 86'400}}};

// Takes as much of "1h2m3.5s" as there is at the front.
std::optional<double> take_duration(std::string_view& text) {
  std::optional<double> seconds;
  while (!text.empty()) {
    std::string_view rest = text;
    const auto number = take_number(rest);
    if (!number || *number < 0) break;
    const auto unit = std::find_if(units.begin(), units.end(),
                                   [&](const Unit& known) { return take(rest, known.name); });
    if (unit == units.end()) break;
    seconds = seconds.value_or(0) + *number * unit->seconds;
    text = rest;
  }
  return seconds;
}

std::optional<double> seconds_of_duration(std::string_view text) {
  const auto seconds = take_duration(text);
  return text.empty() ? seconds : std::nullopt;
}

std::optional<int> take_digits(std::string_view& text, std::size_t least, std::size_t most) {
  std::size_t count = 0;
  int number = 0;
  while (count < most && count < text.size() && text[count] >= '0' && text[count] <= '9')
    number = number * 10 + (text[count++] - '0');
  if (count < least) return std::nullopt;
  text.remove_prefix(count);
  return number;
}

struct Moment {
  int year = 0, month = 0, day = 0, hour = 0, minute = 0;
  double second = 0;
};

std::optional<double> seconds_until(const Moment& at, std::int64_t unix_now) {
  using namespace std::chrono;
  const year_month_day date{year{at.year}, month{static_cast<unsigned>(at.month)},
                            day{static_cast<unsigned>(at.day)}};
  if (!date.ok() || at.hour > 23 || at.minute > 59 || at.second > 61) return std::nullopt;
  const auto days = sys_days{date}.time_since_epoch().count();
  return static_cast<double>(days * 86'400 + at.hour * 3'600 + at.minute * 60 - unix_now) +
         at.second;
}

// What "Z", "+02:00", "-0100", "GMT" and "UTC" add to the clock's time; nothing of anything else.
std::optional<double> offset_s(std::string_view text) {
  text = trimmed(text);
  if (text == "Z" || text == "z" || text == "GMT" || text == "UTC") return 0;
  const int sign = take(text, "+") ? 1 : take(text, "-") ? -1 : 0;
  const auto hours = take_digits(text, 2, 2);
  take(text, ":");
  const auto minutes = take_digits(text, 2, 2);
  if (sign == 0 || !hours || !minutes || !text.empty()) return std::nullopt;
  return sign * (*hours * 3'600.0 + *minutes * 60.0);
}

bool take_clock(std::string_view& text, Moment& at) {
  const auto hour = take_digits(text, 2, 2);
  const auto minute = hour && take(text, ":") ? take_digits(text, 2, 2) : std::nullopt;
  const auto second = minute && take(text, ":") ? take_digits(text, 2, 2) : std::nullopt;
  if (!second) return false;
  at.hour = *hour;
  at.minute = *minute;
  at.second = *second;
  if (text.starts_with('.')) at.second += take_number(text).value_or(0);
  return true;
}

// "2026-01-27T12:00:00Z", with a fraction or an offset if need be.
std::optional<double> seconds_of_rfc3339(std::string_view text, std::int64_t unix_now) {
  Moment at;
  const auto year = take_digits(text, 4, 4);
  const auto month = year && take(text, "-") ? take_digits(text, 2, 2) : std::nullopt;
  const auto day = month && take(text, "-") ? take_digits(text, 2, 2) : std::nullopt;
  if (!day || !(take(text, "T") || take(text, "t") || take(text, " "))) return std::nullopt;
  at.year = *year;
  at.month = *month;
  at.day = *day;
  if (!take_clock(text, at)) return std::nullopt;
  const auto offset = offset_s(text);
  const auto seconds = seconds_until(at, unix_now);
  return offset && seconds ? std::optional{*seconds - *offset} : std::nullopt;
}

std::optional<int> take_month(std::string_view& text) {
  constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const std::size_t at = text.size() < 3 ? months.npos : months.find(text.substr(0, 3));
  if (at == months.npos || at % 3 != 0) return std::nullopt;
  text.remove_prefix(3);
  return static_cast<int>(at / 3) + 1;
}

// RFC 9110, 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT" and
// "Sun Nov  6 08:49:37 1994".
std::optional<double> seconds_of_http_date(std::string_view text, std::int64_t unix_now) {
  const auto skip = [&text](std::string_view what) {
    while (!text.empty() && what.find(text.front()) != what.npos) text.remove_prefix(1);
  };
  Moment at;
  const std::size_t name = text.find_first_of(", ");
  if (name < 3 || name == text.npos) return std::nullopt;
  text.remove_prefix(name);
  skip(", ");
  const bool month_first = !text.empty() && (text.front() < '0' || text.front() > '9');
  std::optional<int> day, month, year;
  if (month_first) month = take_month(text);
  skip(" ");
  day = take_digits(text, 1, 2);
  skip(" -");
  if (!month_first) month = take_month(text);
  skip(" -");
  if (!month_first) year = take_digits(text, 2, 4);
  skip(" ");
  if (!take_clock(text, at)) return std::nullopt;
  skip(" ");
  if (month_first) year = take_digits(text, 4, 4);
  const auto offset = month_first && text.empty() ? std::optional{0.0} : offset_s(text);
  if (!day || !month || !year || !offset) return std::nullopt;
  at.year = *year < 70 ? *year + 2'000 : *year < 100 ? *year + 1'900 : *year;
  at.month = *month;
  at.day = *day;
  const auto seconds = seconds_until(at, unix_now);
  return seconds ? std::optional{*seconds - *offset} : std::nullopt;
}

} // namespace

std::optional<double> seconds_until(std::string_view text, std::int64_t unix_now) {
  text = trimmed(text);
  if (text.empty()) return std::nullopt;
  auto seconds = seconds_of_number(text, unix_now);
  if (!seconds) seconds = seconds_of_duration(text);
  if (!seconds) seconds = seconds_of_rfc3339(text, unix_now);
  if (!seconds) seconds = seconds_of_http_date(text, unix_now);
  return seconds;
}

std::optional<std::int64_t> wait_ms_in(std::string_view sentence) {
  constexpr std::array<std::string_view, 5> phrases{
      {"try again in ", "retry in ", "try again after ", "retry after ", "available in "}};
  std::string lower{sentence};
  for (char& c : lower)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  for (const std::string_view phrase : phrases) {
    const std::size_t at = lower.find(phrase);
    if (at == lower.npos) continue;
    std::string_view rest = std::string_view{lower}.substr(at + phrase.size());
    auto seconds = take_duration(rest);
    if (!seconds) { // "6 seconds"
      const auto number = take_number(rest);
      const bool spaced = take(rest, " ");
      const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& known) {
        return spaced && rest.starts_with(known.name);
      });
      if (number && *number >= 0 && unit != units.end()) seconds = *number * unit->seconds;
    }
    if (seconds && *seconds <= sentence_wait_s_max)
      return static_cast<std::int64_t>(std::ceil(*seconds * 1e3));
  }
  return std::nullopt;
}

} // namespace gristmill
