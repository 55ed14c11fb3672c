// The front desk: the one place that all event loops share, where every model call is judged.
//
// A call is judged once, when its request has been read:
//
//   wrong key -> 401     unreadable -> 400     more inputs than --inputs-max -> 422
//   fault of the script -> that fault     over a rate limit -> 429
//   else -> the answer, after its latency, in a slot
//
// The script comes before the limits, so that a scripted fault never depends on timing: a faulted
// call is neither refused by the limits nor charged to them. Calls that are turned away take
// neither latency nor a slot. The log line is written before anything is answered.
//
// Invariant: every admitted call is given back by exactly one `finish`. All members may be called
// from any thread.
#pragma once

#include "call.hpp"
#include "call_log.hpp"
#include "count_table.hpp"
#include "counters.hpp"
#include "faults.hpp"
#include "latency.hpp"
#include "limits.hpp"
#include "options.hpp"
#include "prefix_cache.hpp"
#include "slots.hpp"

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::simllm {

struct Arrival {
  const Call& call;
  std::string_view path;
  std::string_view attempt;
  std::string_view body;
  bool key_accepted = true;
  std::uint64_t connection = 0; // number for the log
  std::uint64_t completion_tokens = 0;
};

struct Now {
  std::uint64_t boot_ns = 0;
  std::uint64_t unix_s = 0;
};

struct Verdict {
  std::uint64_t arrival = 0;
  int status = 200;
  bool served = false; // takes its latency and a slot
  std::uint64_t latency_us = 0;
  std::uint64_t created_s = 0;
  std::uint64_t cached_tokens = 0;
  std::shared_ptr<const Fault> fault;
  std::uint64_t inputs_max = 0; // above 0: refused for it
  LimitNotice limits;
  CallSummary summary;
};

enum class Outcome { answered, abandoned };

class Desk {
public:
  explicit Desk(const Options& options);

  Verdict admit(const Arrival& arrival, Now now);

  // For a served call: true when it may start now, false when its ticket waits in line.
  bool take_slot(Ticket ticket);

  // Ends a call. When it held a slot, the ticket whose turn that makes it is returned.
  std::optional<Ticket> finish(const CallSummary& call, Outcome outcome, bool held_slot);

  // Gives back a slot that came to a call whose client had gone away while it waited.
  std::optional<Ticket> pass_slot_on();

  std::uint64_t connected(); // the new connection's number
  void disconnected();

  // Applies a change of settings; the tickets that may start because of it are returned.
  std::vector<Ticket> change(const Change& change);

  bool logs() const { return log_.enabled(); }
  void flush_log();
  std::string metrics(std::string_view model); // as vLLM words it
  std::string stats_json();                    // flushes the log first, so that both tell the same

private:
  void decide(Verdict& verdict, const Arrival& arrival, Sighting seen, Now now);
  void judge(Verdict& verdict, const Arrival& arrival, Sighting seen, Now now);
  void log(const Verdict& verdict, const Arrival& arrival, Now now);

  std::mutex mutex_;
  const std::uint64_t seed_;
  LiveSettings settings_;
  LatencyLaw latency_;
  FaultScript faults_;
  RateLimits limits_;
  Slots slots_;
  PrefixCache prefixes_;
  CountTable texts_;
  Counters counters_;
  CallLog log_;
  const bool log_bodies_;
  const LimitWording wording_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t connections_made_ = 0;
};

} // namespace gristmill::simllm
