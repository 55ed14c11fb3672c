#include "protocol/job/pools.hpp"

#include "protocol/job/spec.hpp"

#include <algorithm>

namespace gristmill {
namespace {

constexpr std::uint64_t pico_per_nano = 1'000;
} // namespace

Usd cost_of_tokens(const TokenPrice& price, const protocol::Usage& usage) {
  std::uint64_t input = 0, output = 0, sum = 0;
  if (__builtin_mul_overflow(usage.prompt, price.input, &input) ||
      __builtin_mul_overflow(usage.completion, price.output, &output) ||
      __builtin_add_overflow(input, output, &sum))
    return usd_max;
  return std::min(Usd::from_nano(sum / pico_per_nano + (sum % pico_per_nano != 0)), usd_max);
}

const PoolSpec* pool_of(const std::vector<PoolSpec>& pools, std::string_view model) {
  const auto it = std::find_if(pools.begin(), pools.end(),
                               [model](const PoolSpec& pool) { return pool.model == model; });
  return it == pools.end() ? nullptr : &*it;
}

} // namespace gristmill
