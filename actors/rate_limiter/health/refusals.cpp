#include "actors/rate_limiter/health/refusals.hpp"

#include "actors/words/doubt.hpp"

#include <algorithm>

namespace gristmill::rate_limiter {

std::vector<Endpoint*> Refusals::willing(std::vector<Endpoint*> usable, Time now) const {
  if (refusing_.empty()) return usable;
  const auto hold_of = [this](const Endpoint* endpoint) {
    const auto it = refusing_.find(endpoint->offer.id);
    return it == refusing_.end() ? nullptr : &it->second;
  };
  const bool others = std::any_of(usable.begin(), usable.end(),
                                  [&](const Endpoint* e) { return hold_of(e) == nullptr; });
  const Duration every = others ? asked_beside_others : EndpointHold::probe_every;
  std::erase_if(usable, [&](const Endpoint* endpoint) {
    const EndpointHold* hold = hold_of(endpoint);
    return hold != nullptr && hold->refuses(now, every);
  });
  return usable;
}

Time Refusals::asked_again_at(const std::vector<Endpoint*>& usable, Time now) const {
  Time at = never;
  for (const Endpoint* endpoint : usable)
    if (const auto it = refusing_.find(endpoint->offer.id); it != refusing_.end())
      at = std::min(at, it->second.refuses(now).value_or(now));
  return at;
}

EndpointHold::Begun Refusals::begun(EndpointId endpoint, Time now) {
  const auto it = refusing_.find(endpoint);
  return it == refusing_.end() ? EndpointHold::Begun{} : it->second.begun(now);
}

// A model that an endpoint does not know may be the item's own fault where it serves others.
void Refusals::refused(EndpointId endpoint, const EndpointHold::End& end, std::uint16_t http_status,
                       bool endpoint_answers, Time now) {
  if (endpoint_answers && may_be_own_refusal(http_status) &&
      ++in_a_row_[endpoint] < refusals_of_proved)
    return;
  refusing_[endpoint].hold(end, now);
}

void Refusals::ended(EndpointId endpoint, const EndpointHold::Begun& begun, EndpointNews news) {
  if (news == EndpointNews::answered) in_a_row_.erase(endpoint);
  const auto it = refusing_.find(endpoint);
  if (it == refusing_.end()) return;
  if (news == EndpointNews::answered) {
    refusing_.erase(it);
  } else {
    it->second.ended_otherwise(begun, news == EndpointNews::none);
  }
}

} // namespace gristmill::rate_limiter
