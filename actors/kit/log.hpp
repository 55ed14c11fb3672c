// The log: named events with fields, one line each, on standard error, for people or as JSON. Only
// shells and windows call it. Invariant: no prompt, answer or secret is ever a field; what a server
// says of a call that failed is one.
#pragma once

#include "actors/kit/event.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

enum class LogLevel : std::uint8_t { quiet, warnings, normal, verbose };
void set_log_level(LogLevel level);

enum class LogFormat : std::uint8_t { text, json };
void set_log_format(LogFormat format);
// Of --log-format, which is "text" or "json".
LogFormat log_format_named(std::string_view name);

// What stands in an event's line behind time and level. `left_out`: of its name, before it.
std::string log_line(LogFormat format, std::string_view source, const Event& event,
                     std::uint64_t left_out);

void log_event(std::string_view source, const Event& event);

// For what happens with every call or request. Who logs it asks first, because most nodes do not.
bool logs_details();
void log_detail(std::string_view source, const Event& event);

} // namespace gristmill
