// HEADER TIME: when, in any of the forms in which servers say it: seconds from now ("2", "0.5"),
// seconds, milliseconds or microseconds since 1970, Go's durations ("1m2.5s"), RFC 3339, and the
// three forms of an HTTP date. Invariant: a moment is measured against `unix_now`, which is when
// the answer came by the clock of who names it, and against nothing else.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gristmill {

// Seconds until then; below 0 = it is past.
std::optional<double> seconds_until(std::string_view text, std::int64_t unix_now);

// Milliseconds that a sentence asks to wait: "Please try again in 7.66s", "retry after 6 seconds".
std::optional<std::int64_t> wait_ms_in(std::string_view sentence);

} // namespace gristmill
