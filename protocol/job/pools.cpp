#include "protocol/job/pools.hpp"

#include "protocol/job/spec.hpp"

#include <algorithm>

namespace gristmill {
namespace {

constexpr std::uint64_t pico_per_nano = 1'000;
} // namespace

std::uint64_t cost_nano_usd(const TokenPrice& price, const protocol::Usage& usage) {
  std::uint64_t input = 0, output = 0, sum = 0;
  if (__builtin_mul_overflow(usage.prompt, price.input, &input) ||
      __builtin_mul_overflow(usage.completion, price.output, &output) ||
      __builtin_add_overflow(input, output, &sum))
    return cost_nano_usd_max;
  const std::uint64_t nano = sum / pico_per_nano + (sum % pico_per_nano != 0);
  return std::min(nano, cost_nano_usd_max);
}

const PoolSpec* pool_of(const std::vector<PoolSpec>& pools, std::string_view model) {
  const auto it = std::find_if(pools.begin(), pools.end(),
                               [model](const PoolSpec& pool) { return pool.model == model; });
  return it == pools.end() ? nullptr : &*it;
}

} // namespace gristmill
