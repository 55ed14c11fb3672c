#include "actors/kit/log_valve.hpp"

#include <algorithm>
#include <utility>

namespace gristmill {

std::optional<std::uint64_t> LogValve::admit(std::string_view name, Time now) {
  const auto [found, is_new] = flows_.try_emplace(name);
  Flow& flow = found->second;
  if (is_new) flow.at = now;
  flow.left = std::min(burst, flow.left + to_seconds(now - flow.at) * per_second);
  flow.at = now;
  if (flow.left < 1) {
    ++flow.left_out;
    return std::nullopt;
  }
  flow.left -= 1;
  return std::exchange(flow.left_out, 0);
}

} // namespace gristmill
