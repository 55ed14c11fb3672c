// Money in tests: nano_usd(150) is 150 * 10^-9 US$, and a check that fails shows it so.
#pragma once

#include "protocol/job/usd.hpp"

#include <catch2/catch.hpp>
#include <cstdint>
#include <string>

namespace gristmill {

constexpr Usd nano_usd(std::uint64_t nano) {
  return Usd::from_nano(nano);
}

} // namespace gristmill

namespace Catch {

template <> struct StringMaker<gristmill::Usd> {
  static std::string convert(gristmill::Usd money) {
    return "nano_usd(" + std::to_string(money.nano()) + ")";
  }
};

} // namespace Catch
