// ASSIGNED: one call as its worker has it: held without a permit, or permitted and perhaps in
// flight. Plain data.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/doubt.hpp"
#include "actors/words/streams.hpp"
#include "protocol/ids.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace gristmill::coordinator {

struct Assigned {
  JobId job{};
  std::vector<PartId> parts{};
  std::uint64_t token_bound = 0;
  std::size_t bytes = 0;
  AttemptId attempt{}; // set: permitted
  EndpointId endpoint{};
  std::string model{}; // that the call was planned for; empty = the job's
  std::uint64_t output_bound = 0;
  std::vector<EndpointId> failed_at{};
  std::uint64_t prefix = 0;
  PermitNote note{};     // permitted: what RATE LIMITER said of it
  Time since{};          // when it was permitted by this life of ours
  bool over = false;     // its worker keeps the outcome
  Time deadline = never; // permitted: its worker must have said by then how it ended
  // Charged and offered to others: what its worker says of it still comes late, if it comes.
  bool given_up = false;
  // Nobody wants its answer any more: should its permit come back unused, the call is gone.
  bool withdrawn = false;
  bool charged = false; // what it may have cost is counted already
  bool earlier = false; // nothing is known of its bounds: permitted by an earlier life of ours

  StreamId stream() const { return {job, parts.empty() ? 0 : StreamId::of(parts[0]).model}; }
  // Every item below the next one may be called, if this one may.
  std::uint64_t last_item() const {
    std::uint64_t last = 0;
    for (const PartId& part : parts) last = std::max(last, part.item);
    return last;
  }
};

// A call that left its session, or was given up there, with what the session knew of it.
struct Released {
  CallId call;
  Assigned assigned;
};

} // namespace gristmill::coordinator
