// ENDPOINT CHOICE: which of the endpoints that serve a call gets it, or why it has to wait. Of
// those that let it go it is one
//
//   at which the call has not failed yet, if there is one; of those
//   at which so many inputs have not been tried yet, if it is to be tried; of those
//   at which calls that begin like it have been first, while there is headroom, and for the first
//   of them the one at which the fewest groups have been first; else with the least before the
//   call: the share of its limits that would be taken, times how long it takes for an answer; of
//   equal ones that with the fewest calls in flight, of those in turn.
//
// Share and time together are what is least for a server that is fast or has room, and grow for one
// that queues. Invariant: what is chosen lets the call go now.
#pragma once

#include "actors/rate_limiter/call_tokens.hpp"
#include "actors/rate_limiter/choice/endpoint_book.hpp"
#include "actors/rate_limiter/choice/prefix_groups.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/wait_reason.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::rate_limiter {

inline constexpr auto no_endpoint_retry = std::chrono::milliseconds{500};
struct Choice {
  Endpoint* endpoint = nullptr;
  CallTokens tokens{}; // to be drawn from its account
  // Without one:
  WaitReason reason{};                   // of kind none: there is none to choose from
  bool of_its_prefix = false;            // only calls that begin alike have to wait
  std::vector<Account*> refused_by = {}; // that would take it at another time
};

struct AskedCall {
  const AcquireCall& call;
  SessionId session; // of the worker that asks
  const TokenLearners& learned;
};

Choice choose_endpoint(const std::vector<Endpoint*>& endpoints, const AskedCall& asked,
                       const PrefixGroups& groups, Time now);

} // namespace gristmill::rate_limiter
