#include "actors/kit/log.hpp"

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

// Values with spaces or quotes are quoted, so that a line can be cut into fields again.
void append_value(std::string& line, const std::string& value) {
  if (!value.empty() && value.find_first_of(" \"=\n") == std::string::npos) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') line += '\\';
    line += c == '\n' ? ' ' : c;
  }
  line += '"';
}

void log_at(spdlog::level::level_enum level, std::string_view source, const Event& event) {
  if (!logger().should_log(level)) return;
  std::string line{event.name};
  line += " source=";
  line += source;
  for (const auto& [name, value] : event.fields) {
    line += ' ';
    line += name;
    line += '=';
    append_value(line, value);
  }
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
