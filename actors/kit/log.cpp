#include "actors/kit/log.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/log_valve.hpp"
#include "protocol/text/json_text.hpp"

#include <mutex>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace gristmill {
namespace {

// Times as ISO 8601 has them, with the zone. A line of JSON is closed by log_line.
constexpr const char* text_pattern = "%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v";
constexpr const char* json_pattern = R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l",%v)";

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("gristmill");
    made->set_pattern(text_pattern);
    return made;
  }();
  return *instance;
}

constexpr std::size_t value_bytes_max = 4'096;

// Values with spaces or quotes are quoted, so that a line can be cut into fields again. Any of them
// may be a stranger's.
void append_value(std::string& line, const std::string& foreign) {
  const std::string value = json::printable(foreign, value_bytes_max);
  if (!value.empty() && value.find_first_of(" \"=") == std::string::npos) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    line += c;
  }
  line += '"';
}

std::string text_line(std::string_view source, const Event& event, std::uint64_t left_out) {
  std::string line{event.name};
  line += " source=";
  line += source;
  for (const auto& [name, value] : event.fields) {
    line += ' ';
    line += name;
    line += '=';
    append_value(line, value);
  }
  if (left_out > 0) line += fmt::format(" left_out={}", left_out);
  return line;
}

std::string json_line(std::string_view source, const Event& event, std::uint64_t left_out) {
  std::string line;
  const auto member = [&line](std::string_view name, std::string_view value) {
    line += line.empty() ? "" : ",";
    json::append_string(line, name);
    line += ':';
    json::append_string(line, json::printable(value, value_bytes_max));
  };
  member("event", event.name);
  member("source", source);
  for (const auto& [name, value] : event.fields) member(name, value);
  if (left_out > 0) line += fmt::format(",\"left_out\":{}", left_out);
  return line + "}";
}

LogFormat& format_of_process() {
  static LogFormat format = LogFormat::text;
  return format;
}

std::optional<std::uint64_t> admit(std::string_view name) {
  static std::mutex mutex;
  static LogValve valve;
  const std::lock_guard guard{mutex};
  return valve.admit(name, boot_now());
}

void log_at(spdlog::level::level_enum level, std::string_view source, const Event& event) {
  if (!logger().should_log(level)) return;
  // Who asked for every detail gets it.
  const bool is_detail = level == spdlog::level::debug;
  const auto left_out = is_detail ? std::optional{std::uint64_t{0}} : admit(event.name);
  if (!left_out) return;
  logger().log(level, log_line(format_of_process(), source, event, *left_out));
}

} // namespace

void set_log_level(LogLevel level) {
  static constexpr spdlog::level::level_enum levels[]{spdlog::level::err, spdlog::level::warn,
                                                      spdlog::level::info, spdlog::level::debug};
  logger().set_level(levels[static_cast<std::size_t>(level)]);
}

void set_log_format(LogFormat format) {
  format_of_process() = format;
  logger().set_pattern(format == LogFormat::json ? json_pattern : text_pattern);
}

LogFormat log_format_named(std::string_view name) {
  return name == "json" ? LogFormat::json : LogFormat::text;
}

std::string log_line(LogFormat format, std::string_view source, const Event& event,
                     std::uint64_t left_out) {
  return format == LogFormat::json ? json_line(source, event, left_out)
                                   : text_line(source, event, left_out);
}

void log_event(std::string_view source, const Event& event) {
  log_at(event.warning ? spdlog::level::warn : spdlog::level::info, source, event);
}

bool logs_details() {
  return logger().should_log(spdlog::level::debug);
}

void log_detail(std::string_view source, const Event& event) {
  log_at(spdlog::level::debug, source, event);
}

} // namespace gristmill
