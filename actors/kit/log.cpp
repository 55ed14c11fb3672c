#include "actors/kit/log.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/log_valve.hpp"
#include "protocol/openai/json_text.hpp"

#include <mutex>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace gristmill {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = spdlog::stderr_color_mt("gristmill");
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%e %^%l%$ %v");
    return made;
  }();
  return *instance;
}

constexpr std::size_t value_bytes_max = 4'096;

// Values with spaces or quotes are quoted, so that a line can be cut into fields again. Any of them
// may be a stranger's.
void append_value(std::string& line, const std::string& foreign) {
  const std::string value = openai::json::printable(foreign, value_bytes_max);
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
  std::string line{event.name};
  line += " source=";
  line += source;
  for (const auto& [name, value] : event.fields) {
    line += ' ';
    line += name;
    line += '=';
    append_value(line, value);
  }
  if (*left_out > 0) line += fmt::format(" left_out={}", *left_out);
  logger().log(level, line);
}

} // namespace

void set_log_level(LogLevel level) {
  static constexpr spdlog::level::level_enum levels[]{spdlog::level::err, spdlog::level::warn,
                                                      spdlog::level::info, spdlog::level::debug};
  logger().set_level(levels[static_cast<std::size_t>(level)]);
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
