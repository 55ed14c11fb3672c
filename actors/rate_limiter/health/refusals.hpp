// REFUSALS: the endpoints that do not serve a job: wrong key, model or URL. What refuses at once
// would draw all calls to itself, so it is passed over while others serve the job and asked by one
// call now and then; where none does, by one a second. Invariant: an endpoint that takes a call of
// the job is none of them.
#pragma once

#include "actors/rate_limiter/choice/endpoint_book.hpp"
#include "actors/rate_limiter/health/endpoint_hold.hpp"

#include <map>
#include <vector>

namespace gristmill::rate_limiter {

class Refusals {
public:
  static constexpr Duration asked_beside_others = std::chrono::seconds{10};
  // Of an endpoint that took others, in a row: then it is no longer the items' fault.
  static constexpr std::uint32_t refusals_of_proved = 16;

  // Those that a call of the job may go to now.
  std::vector<Endpoint*> willing(std::vector<Endpoint*> usable, Time now) const;
  // When there is none: the first moment at which there is one.
  Time asked_again_at(const std::vector<Endpoint*>& usable, Time now) const;

  EndpointHold::Begun begun(EndpointId endpoint, Time now);
  // How a call ended. `endpoint_answers`: it has taken others.
  void refused(EndpointId endpoint, const EndpointHold::End& end, std::uint16_t http_status,
               bool endpoint_answers, Time now);
  void ended(EndpointId endpoint, const EndpointHold::Begun& begun, EndpointNews news);
  std::size_t size() const { return refusing_.size(); }

private:
  std::map<EndpointId, EndpointHold> refusing_;
  std::map<EndpointId, std::uint32_t> in_a_row_; // of those that took others
};

} // namespace gristmill::rate_limiter
