// TRACE: every event of a history as a line, and all of them as one hash. A line is only formatted
// when somebody reads it; the hash takes its parts. Invariant: equal histories have equal hashes,
// whether or not they are printed.
#pragma once

#include "actors/kit/time.hpp"

#include <cstdio>
#include <fmt/format.h>
#include <string_view>
#include <type_traits>

namespace gristmill::sim {

class Trace {
public:
  explicit Trace(bool verbose) : verbose_{verbose} {}

  template <class... Args>
  void line(Duration since, fmt::format_string<Args...> text, const Args&... args) {
    const fmt::string_view words = text;
    mix(static_cast<std::uint64_t>(since.count()));
    mix(std::string_view{words.data(), words.size()});
    (mix(args), ...);
    if (!verbose_) return;
    fmt::print("{:12.6f} ", to_seconds(since));
    fmt::vprint(words, fmt::make_format_args(args...));
    std::putchar('\n');
  }
  // For people only: what the lines around it imply.
  void note(Duration since, const std::string& text) const {
    if (verbose_) fmt::print("{:12.6f}     {}\n", to_seconds(since), text);
  }
  std::uint64_t hash() const { return hash_; }
  bool verbose() const { return verbose_; }

private:
  void mix(std::uint64_t word) {
    hash_ = (hash_ ^ word) * 0x9e3779b97f4a7c15u;
    hash_ ^= hash_ >> 29;
  }
  void mix(std::string_view text) {
    for (const char c : text) hash_ = (hash_ ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  }
  template <class T> void mix(const T& value) requires std::is_integral_v<T> {
    mix(static_cast<std::uint64_t>(value));
  }
  void mix(const std::string& text) { mix(std::string_view{text}); }
  void mix(const char* text) { mix(std::string_view{text}); }

  bool verbose_;
  std::uint64_t hash_ = 0xcbf29ce484222325u;
};

} // namespace gristmill::sim
