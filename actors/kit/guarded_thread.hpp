// GUARDED THREAD: a thread whose exceptions end the process as any internal error does, with one
// sentence and exit code 70, and not with std::terminate and a core. Whatever is not durable then
// never happened, so to end at once loses nothing. Invariant: nothing is thrown out of run_guarded.
#pragma once

#include <exception>
#include <string_view>
#include <thread>
#include <utility>

namespace gristmill {

inline constexpr int exit_internal_error = 70;

[[noreturn]] void end_by_internal_error(std::string_view where, std::string_view what) noexcept;

// Also for callbacks that libraries make on threads of their own.
template <class Body> decltype(auto) run_guarded(std::string_view where, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    end_by_internal_error(where, error.what());
  } catch (...) {
    end_by_internal_error(where, "something unknown was thrown");
  }
}

template <class Body> std::thread guarded_thread(std::string_view where, Body body) {
  return std::thread{[where, body = std::move(body)] { run_guarded(where, body); }};
}

} // namespace gristmill
