// Result<T>: a value, or an Error with a code of the table below and one sentence that says what
// was expected, what came, where, and what to do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace gristmill {

// A code exists only if somebody reacts to it. Numbers are never reused.
enum class ErrorCode : std::uint16_t {
  internal = 1,
  usage = 2,     // flags, configuration: exit 2
  bad_input = 3, // an input file or line
  not_found = 4,
  conflict = 5, // exists, in use, of another job or version
  io = 6,       // a system call failed
  disk_full = 7,
  bad_frame = 8,   // bytes that are no frame of ours
  unavailable = 9, // the other side cannot be reached now
  refused = 10,    // the other side said no
  used_up = 11,    // the numbers of this life are: another one goes on (exit 75)
  not_yet = 12,    // it is not there yet, and whoever asks again later may get it
};
std::string_view name_of(ErrorCode code);

struct Error {
  ErrorCode code = ErrorCode::internal;
  std::string message;
};

template <class T = void> using Result = tl::expected<T, Error>;

inline tl::unexpected<Error> fail(ErrorCode code, std::string message) {
  return tl::unexpected<Error>{Error{code, std::move(message)}};
}

} // namespace gristmill

// Ends the function with the error of a Result, if it has one; the function returns a Result, too.
//   GRISTMILL_TRY(file.sync());       // of which nothing else is wanted
//   const auto bytes = file.read();   // whose value is wanted: it has a name,
//   GRISTMILL_TRY(bytes);             // and *bytes is there from here on
// A named Result keeps its error, a temporary one gives it away. It is one statement, so that it
// may stand after an if without braces. No lambda within the argument may use it: its name would
// hide this one, and the compiler says so.
#define GRISTMILL_TRY(...)                                                                         \
  do {                                                                                             \
    if (auto&& tried = (__VA_ARGS__); !tried)                                                      \
      return ::tl::unexpected{::std::forward<decltype(tried)>(tried).error()};                     \
  } while (false)
