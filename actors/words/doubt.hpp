// DOUBT: why a failure of a call that gets its permit now would say little of its item. Plain data.
#pragma once

#include "protocol/job/usd.hpp"

#include <cstdint>

namespace gristmill {

enum class Doubt : std::uint8_t {
  none,    // the endpoint is well, and has answered as many calls at once as it gets now
  crowded, // we may be the reason: it has never answered, or not so many at once
  held,    // it fails: the call is a probe
};

// What goes with a permit, beside what its worker is told.
struct PermitNote {
  Usd most_cost{}; // of the call; 0 = not known
  Doubt doubt = Doubt::none;
  bool operator==(const PermitNote&) const = default;
};

// A refusal (class config) may be the item's own fault, a model that its line names, where the
// endpoint takes other calls; a key never is.
constexpr bool may_be_own_refusal(std::uint16_t http_status) {
  return http_status != 0 && http_status != 401;
}

} // namespace gristmill
