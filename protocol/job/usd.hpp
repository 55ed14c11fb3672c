// USD: money, as a whole number of 10^-9 US$. Costs, budgets and whatever is compared with them are
// of this type, from messages and rows to what is printed. Prices are not, for a token costs less
// than the unit (pools.hpp), and forecasts are not, for they are no amounts.
// Invariant: no number becomes money by accident, and neither sums nor differences wrap.
#pragma once

#include <compare>
#include <cstdint>
#include <limits>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace gristmill {

class Usd {
public:
  constexpr Usd() = default;
  // As messages and the journal's rows have it.
  static constexpr Usd from_nano(std::uint64_t nano) {
    Usd money;
    money.nano_ = nano;
    return money;
  }
  // As JSON and flags have it, to the nearest 10^-9. What is not above 0 is nothing, and what would
  // not fit counts as 9 * 10^9.
  static Usd from_usd(double usd);

  constexpr std::uint64_t nano() const { return nano_; }
  constexpr double usd() const { return static_cast<double>(nano_) / 1e9; }

  constexpr explicit operator bool() const { return nano_ != 0; }
  constexpr auto operator<=>(const Usd&) const = default;

  // A sum that would not fit stays at the most that does: it must not come out as little.
  constexpr Usd& operator+=(Usd more) {
    constexpr std::uint64_t most = std::numeric_limits<std::uint64_t>::max();
    nano_ = more.nano_ > most - nano_ ? most : nano_ + more.nano_;
    return *this;
  }
  // Whoever takes more than there is has made a mistake: it throws.
  constexpr Usd& operator-=(Usd less) {
    if (less.nano_ > nano_) does_not_have(less);
    nano_ -= less.nano_;
    return *this;
  }
  friend constexpr Usd operator+(Usd a, Usd b) { return a += b; }
  friend constexpr Usd operator-(Usd a, Usd b) { return a -= b; }
  friend constexpr Usd operator/(Usd money, std::uint64_t parts) {
    return from_nano(money.nano_ / parts);
  }

private:
  [[noreturn]] void does_not_have(Usd less) const;

  std::uint64_t nano_ = 0;
};

// The most that a budget may be, and that one call is believed to cost: a million dollars.
inline constexpr Usd usd_max = Usd::from_nano(1'000'000'000'000'000);

std::string in_dollars(Usd money, int decimals); // $1.2345

// A number of US$; null: nothing that has a price was used, or there is no budget.
nlohmann::ordered_json usd_or_null(Usd money);
Usd usd_of(const nlohmann::ordered_json& json); // nothing, if it is anything else

} // namespace gristmill
