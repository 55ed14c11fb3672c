// What COORDINATOR and SUPERVISOR say to each other about calls. Plain data; a call belongs to one
// of them at a time: offered, then out with a worker, then reported, returned or lost.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/doubt.hpp"
#include "actors/words/pack_size.hpp"
#include "actors/words/streams.hpp"
#include "protocol/job/state.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/node/messages.hpp"

#include <optional>
#include <string>
#include <vector>

namespace gristmill {

// A call that is ready to leave.
struct OfferedCall {
  protocol::PlannedCall planned;
  std::uint64_t token_bound = 0;          // most tokens that the call may be charged
  std::uint64_t output_bound = 0;         // … of them in its answer
  std::vector<EndpointId> failed_at = {}; // where earlier attempts failed, the latest last
  std::uint64_t prefix = 0;               // as of AcquireCall
  std::size_t bytes() const { return planned.bytes(); }
  StreamId stream() const {
    return planned.parts.empty() ? StreamId{} : StreamId::of(planned.parts[0].id);
  }
};

// How an attempt ended, and who says so.
struct ReportedOutcome {
  SessionId session;
  protocol::Outcome outcome;
  std::string endpoint; // URL
  // That it was made for; none = an earlier life of ours gave it away.
  std::optional<std::string> model{};
  Usd cost{};
  // Of class config or quota: how many endpoints serve such calls, this one too.
  std::size_t alternatives = 0;
  Time began{}; // when it got its permit; Time{} = not known
  Doubt doubt = Doubt::none;
};

// A call that nobody will report.
struct LostCall {
  CallId call;
  bool permitted = false; // may have been made
  bool died = false;      // … when its worker's process ended
  bool alone = false;     // … and the worker was making no other call
  std::string exceeds{};  // set: no endpoint may ever take it, because …
  bool by_parts = false;  // none takes so many parts, but fewer
};

// A call that has its permit, told to a job that hedges.
struct BegunCall {
  CallId call;
  EndpointId endpoint;
};

// Everything that one event means for one job.
struct JobNews {
  std::vector<ReportedOutcome> outcomes;
  std::vector<LostCall> returned;      // never started
  std::vector<LostCall> lost;          // their session is gone
  std::vector<protocol::Claim> claims; // calls that a worker is making without our knowing
  std::vector<protocol::Claim> kept;   // … or has made: their outcomes are on their way
  std::vector<BegunCall> begun;
  Usd charged{};                  // for lost calls; the journal has it already
  bool grace_over = false;        // nobody else will claim anything
  std::uint64_t untold_calls = 0; // … and of at most so many calls nobody has said anything
  std::vector<StreamRoom> room;   // for more calls; of a stream perhaps more than once
  std::vector<PackSize> packs;    // of models, from now on
};

} // namespace gristmill
