// What an attempt's end means and what follows from it: the error classes that logs, result lines,
// summary and documents share. The table in outcome_class.cpp is the only source of their words.
#pragma once

#include "protocol/result.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gristmill {

enum class OutcomeClass : std::uint8_t {
  ok = 0,
  transient = 1,   // refused, reset, cut or unparsable reply, 408, 409, 5xx
  timeout = 2,     // the call's total time ran out
  overload = 3,    // 503 server_is_overloaded, 529
  rate = 4,        // 429 rate_limit_exceeded
  ramp = 5,        // 429 slow_down
  quota = 6,       // insufficient_quota and its kin, 402
  too_long = 7,    // context_length_exceeded
  bad_line = 8,    // other 400, 422: the request itself is wrong
  policy = 9,      // content filter
  config = 10,     // 401, 403, 404
  too_big = 11,    // 413
  bad_result = 12, // an answer that is whole but not usable
  cancelled = 13,  // by the user, or withdrawn
  unstarted = 14,  // the permit died before the call was sent: nothing left this machine
};
inline constexpr std::size_t outcome_class_count = 15;

struct OutcomeClassInfo {
  OutcomeClass cls;
  std::string_view name;     // as in logs, summary and --retry-failed=CLASS
  std::string_view sentence; // for people
  bool retryable;            // tried again by the supervisor
  bool consumes_attempt;     // counts against --retries
};

const OutcomeClassInfo& info(OutcomeClass cls);
std::optional<OutcomeClass> outcome_class_named(std::string_view name);
// Names of classes in which an item can fail, separated by commas; an error lists them.
Result<std::vector<OutcomeClass>> outcome_classes_named(std::string_view names);

} // namespace gristmill
