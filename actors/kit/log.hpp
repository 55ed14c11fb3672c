// The log: named events with fields, one line each, on standard error. Only shells and windows call
// it. Invariant: no prompt, answer or secret is ever a field.
#pragma once

#include "actors/kit/event.hpp"

#include <string_view>

namespace gristmill {

enum class LogLevel : std::uint8_t { quiet, warnings, normal, verbose };
void set_log_level(LogLevel level);
void log_event(std::string_view source, const Event& event);

// For what happens with every call or request. Who logs it asks first, because most nodes do not.
bool logs_details();
void log_detail(std::string_view source, const Event& event);

} // namespace gristmill
