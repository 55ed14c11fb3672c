// RATE LIMITS: how much may be asked of an endpoint, or by a job, in a time. 0 = unlimited.
#pragma once

#include "protocol/job/named.hpp"

#include <compare>
#include <cstdint>

namespace gristmill {

// What a call is charged: what it used, or what it might have used, whatever it has.
enum class TokenCounting : std::uint8_t { usage, reserved };
template <>
inline constexpr std::array<std::string_view, 2> enum_names<TokenCounting>{"usage", "reserved"};

struct RateLimits {
  std::uint64_t requests_per_minute = 0;
  std::uint64_t tokens_per_minute = 0;
  std::uint32_t max_in_flight = 0;
  bool strict_tokens = false; // reserve what a call may use at most, never less
  TokenCounting token_counting = TokenCounting::usage;
  std::uint64_t requests_per_day = 0; // in any 24 hours
  std::uint64_t tokens_per_day = 0;
  // Windows of their own, as some providers have them.
  std::uint64_t input_tokens_per_minute = 0, output_tokens_per_minute = 0;
  auto operator<=>(const RateLimits&) const = default;
  bool windows() const; // any of the rates below
};

// The amounts in a time, under the names that TOML and JSON have for them.
struct RateLimitRow {
  std::string_view name;
  std::uint64_t RateLimits::*amount;
};
inline constexpr std::array rate_limit_rows{
    RateLimitRow{"requests_per_minute", &RateLimits::requests_per_minute},
    RateLimitRow{"tokens_per_minute", &RateLimits::tokens_per_minute},
    RateLimitRow{"requests_per_day", &RateLimits::requests_per_day},
    RateLimitRow{"tokens_per_day", &RateLimits::tokens_per_day},
    RateLimitRow{"input_tokens_per_minute", &RateLimits::input_tokens_per_minute},
    RateLimitRow{"output_tokens_per_minute", &RateLimits::output_tokens_per_minute},
};

inline bool RateLimits::windows() const {
  return std::any_of(rate_limit_rows.begin(), rate_limit_rows.end(),
                     [this](const RateLimitRow& row) { return this->*row.amount != 0; });
}

// Of each limit the smaller one.
inline RateLimits stricter(const RateLimits& a, const RateLimits& b) {
  const auto least = [](auto x, auto y) { return x == 0 ? y : y == 0 ? x : std::min(x, y); };
  RateLimits both;
  for (const RateLimitRow& row : rate_limit_rows)
    both.*row.amount = least(a.*row.amount, b.*row.amount);
  both.max_in_flight = least(a.max_in_flight, b.max_in_flight);
  both.strict_tokens = a.strict_tokens || b.strict_tokens;
  both.token_counting = std::max(a.token_counting, b.token_counting);
  return both;
}

} // namespace gristmill
