#include "actors/rate_limiter/choice/no_endpoint.hpp"

#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {

std::string why_never(const std::vector<RateLimits>& endpoints, const TokenBound& bound) {
  struct Window {
    std::string_view name;
    std::uint64_t RateLimits::*most;
    std::uint64_t bound;
  };
  const Window windows[]{
      {"tokens per minute", &RateLimits::tokens_per_minute, bound.all},
      {"tokens per day", &RateLimits::tokens_per_day, bound.all},
      {"input tokens per minute", &RateLimits::input_tokens_per_minute, bound.input()},
      {"output tokens per minute", &RateLimits::output_tokens_per_minute, bound.output}};
  for (const Window& window : windows) {
    std::uint64_t most = 0;
    for (const RateLimits& limits : endpoints) most = std::max(most, limits.*window.most);
    if (most == 0 || window.bound <= most) continue;
    return fmt::format("expected a call within {} {}, which is what its endpoint allows under "
                       "strict_tokens, got one that may use {}; lower max_tokens, or allow more",
                       most, window.name, window.bound);
  }
  return "expected a call within what its endpoints allow under strict_tokens, got one that "
         "exceeds another window at each of them; lower max_tokens, or allow more";
}

std::string why_none_serves(const std::string& model,
                            const std::map<std::string, std::size_t>& served) {
  if (!model.empty() && served.contains(model))
    return fmt::format("no endpoint that this worker reaches serves the model \"{}\"", model);
  if (served.empty()) return "no endpoint serves the job's model, and none any other";
  std::string others;
  for (const auto& [name, count] : served) {
    if (others.size() > limits::name_bytes_max) {
      others += ", …";
      break;
    }
    others += (others.empty() ? "" : ", ") + name;
  }
  if (model.empty())
    return fmt::format("the item names no model and several are served: {}", others);
  return fmt::format("no endpoint serves the model \"{}\"; served: {}", model, others);
}

} // namespace gristmill::rate_limiter
