#include "protocol/job/usd.hpp"

#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace gristmill {

Usd Usd::from_usd(double usd) {
  if (!(usd > 0)) return {};
  return from_nano(static_cast<std::uint64_t>(std::llround(std::fmin(usd, 9e9) * 1e9)));
}

void Usd::does_not_have(Usd less) const {
  throw std::out_of_range{
      fmt::format("expected to take at most {} x 10^-9 US$, got {}", nano_, less.nano_)};
}

std::string in_dollars(Usd money, int decimals) {
  return fmt::format("${:.{}f}", money.usd(), decimals);
}

nlohmann::ordered_json usd_or_null(Usd money) {
  return money ? nlohmann::ordered_json(money.usd()) : nlohmann::ordered_json();
}

Usd usd_of(const nlohmann::ordered_json& json) {
  return json.is_number() ? Usd::from_usd(json.get<double>()) : Usd{};
}

} // namespace gristmill
