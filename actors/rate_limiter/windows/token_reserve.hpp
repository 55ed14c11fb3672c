// TOKEN RESERVE: how many tokens to set aside for a call whose bound is known and whose use is not.
// It learns from answered calls how use follows bound, and how far calls stray from that: calls in
// flight together stray less, taken together, than one alone, so each needs a smaller share of
// safety the more there are. A call counts by how long it took, because the calls in flight are
// mostly long ones. What is beyond all experience counts in full, and until there is experience
// everything does. Invariant: a reserve is at least 1 and never above the bound.
#pragma once

#include "actors/kit/time.hpp"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::rate_limiter {

// Tokens of a call that is yet to be made.
struct Tokens {
  Tokens(std::uint64_t all = 0) : reserved{all}, paced{all} {}
  Tokens(std::uint64_t r, std::uint64_t p) : reserved{r}, paced{p} {}
  std::uint64_t reserved; // held in the window, which promises not to be exceeded
  std::uint64_t paced;    // taken from the smoother, which aims at the rate
};

class TokenReserve {
public:
  // For a call that may use `bound` tokens and starts beside `others` that are in flight.
  Tokens of(std::uint64_t bound, std::uint64_t others) const;
  // A call of that bound was answered.
  void learn(std::uint64_t bound, std::uint64_t used, Duration took);

  // It knows more than it has noted before.
  bool has_news() const;
  // What it knows, as text for the journal, when it has news; else empty.
  std::string note();
  // Nothing, if the text is none of ours.
  static std::optional<TokenReserve> of_note(std::string_view text);

private:
  // Averages are of seconds in flight with decaying weight: old ones fade after thousands of calls.
  struct Sums {
    double seconds = 0, bound = 0, used = 0, bound_squared = 0, used_squared = 0, product = 0;
  };
  // Visits each number of what was learned, but for the ratios.
  template <class Self, class Visit> static void each_number(Self& self, Visit visit);
  void fade();
  void conclude();
  double tail_ratio() const;

  double calls_ = 0, not_noted_ = 0;
  Sums sums_;
  // How many seconds in flight were of calls that used which part of their bound, eight buckets to
  // each halving.
  static constexpr int buckets_per_halving = 8, halvings = 12;
  std::array<double, buckets_per_halving * halvings> ratios_{};
  double bound_max_ = 0, bound_max_before_ = 0; // seen since it last faded, and before

  // What follows: use is about base + slope * bound, give or take spread.
  double base_ = 0, slope_ = 1, spread_ = 0, tail_ = 1, margin_ = 1;
};

} // namespace gristmill::rate_limiter
