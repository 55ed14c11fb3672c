#include "actors/supervisor/supervisor.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {
namespace {

constexpr std::uint32_t deaths_max = 3;
constexpr auto cancel_grace = std::chrono::seconds{10};

// Calls that begin alike leave next to each other, in the place of the first of them: a server that
// has read a long beginning once is quicker with the next one soon after.
void group_by_prefix(std::vector<OfferedCall>& offers) {
  std::unordered_map<std::uint64_t, std::size_t> first;
  std::vector<std::pair<std::size_t, OfferedCall>> ranked;
  for (std::size_t at = 0; at < offers.size(); ++at) {
    const std::uint64_t prefix = offers[at].prefix;
    ranked.emplace_back(prefix == 0 ? at : first.try_emplace(prefix, at).first->second,
                        std::move(offers[at]));
  }
  std::stable_sort(ranked.begin(), ranked.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (std::size_t at = 0; at < offers.size(); ++at) offers[at] = std::move(ranked[at].second);
}

} // namespace

Supervisor::Supervisor(JobId job, Epoch epoch, JobSpec spec, intake::ByteSource& source,
                       RecoveredItems recovered, const std::vector<PoolSpec>& pools)
    : job_{job}, spec_{std::move(spec)},
      documents_{spec_}, tokens_{spec_, documents_}, policy_{.retries = spec_.policy.retries},
      models_{spec_, pools}, source_{source}, intake_{spec_, source, recovered.low},
      ledger_{std::move(recovered.terminal)}, failures_{spec_},
      outage_{std::chrono::seconds{spec_.policy.patience_s}}, waited_{recovered.outage},
      // Every call beyond one for each item that is done may have been a second one.
      hedging_{spec_.policy.hedge_percent,
               recovered.counts.attempts + recovered.counts.late > recovered.counts.terminal()
                   ? recovered.counts.attempts + recovered.counts.late - recovered.counts.terminal()
                   : 0},
      counts_{recovered.counts}, mark_{recovered.mark}, may_have_called_{recovered.may_have_called},
      calls_at_once_{recovered.calls_at_once},
      // epoch (12 bits) | job (20 bits) | n: unique among all calls that a worker may still know
      next_call_{(std::uint64_t{epoch.value} << 52) | (std::uint64_t{job.value & 0xfffff} << 32) |
                 1} {
  next_call_ = std::max(next_call_, recovered.next_call);
  counts_.total = std::max(recovered.counts.total, recovered.low.item);
  for (const auto& note : recovered.attempts) recovered_attempts_.emplace(note.item, note);
  errors_.count_from(recovered.errors);
}

Effects Supervisor::wanted(std::uint32_t calls, std::uint64_t bytes, Time now) {
  credit_.calls += calls;
  credit_.bytes += static_cast<std::int64_t>(bytes);
  look_for_slow_ones(now);
  return tick(now);
}

Effects Supervisor::tick(Time now) {
  Effects effects;
  if (now >= cancel_deadline_) {
    cancel_live(true, effects);
    cancel_deadline_ = never;
  }
  if (!probing_) stop(outage_.over(now), effects);
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random) {
  Effects effects;
  for (ReportedOutcome& reported : outcomes) accept(reported, now, random, effects);
  look_for_slow_ones(now);
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::returned(const std::vector<LostCall>& calls, Time now) {
  Effects effects;
  for (const LostCall& call : calls) {
    LiveItem* live = ledger_.find(call.item);
    if (live == nullptr || !live->is_out_with(call.call)) continue;
    protocol::Outcome too_long; // in place of the one that no server was asked for
    too_long.cls = OutcomeClass::too_long;
    too_long.call = call.call;
    if (call.exceeds.empty() || cancelling_ || live->twin) {
      gone(call.item, *live, call.call, now, effects);
    } else if (!fall_back(call.item, *live, too_long, now, effects)) {
      give_up(call.item, *live, OutcomeClass::too_long, "exceeds_limit", call.exceeds, effects);
    }
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::lost(const std::vector<LostCall>& calls, Time now) {
  Effects effects;
  for (const LostCall& call : calls) {
    LiveItem* live = ledger_.find(call.item);
    if (live == nullptr || !live->is_out_with(call.call)) continue;
    if (call.permitted) ++effects.append.note.ambiguous;
    if (mutated("lost_consumes_attempt")) ++live->consumed;
    if (call.permitted && call.died) {
      ++live->deaths;
      effects.append.attempts.push_back(note_of(call.item, *live));
    }
    // Only a call that was alone at a death is known to be its cause.
    if (live->deaths >= deaths_max && call.alone && !live->twin) {
      give_up(call.item, *live, OutcomeClass::bad_line, "quarantined",
              fmt::format("{} workers died while they made this call", live->deaths), effects);
    } else {
      gone(call.item, *live, call.call, now, effects);
    }
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::claimed(const std::vector<protocol::Claim>& claims, Time now) {
  Effects effects;
  for (const protocol::Claim& claim : claims) {
    if (mutated("claim_ignored")) break;
    for (const PartId& part : claim.parts) {
      LiveItem* live = ledger_.find(part.item);
      if (live == nullptr) {
        if (ledger_.is_terminal(part.item)) effects.withdrawn.push_back(claim.call);
        continue;
      }
      if (live->deaths > 0) --live->deaths; // its worker lives after all
      if (live->is_out_with(claim.call)) continue;
      withdraw(*live, claim.call, effects);
      if (live->state == LiveState::ready) ledger_.take(part.item); // its call goes on
      ledger_.set_state(*live, LiveState::out);
      live->call = claim.call;
      live->twin = CallId{};
      live->begun_at = now;
    }
  }
  fill(now, effects);
  return sealed(effects);
}

// The outcome itself follows. It may be one that was handled already and whose Recorded got lost,
// so it takes the item from nobody; after a restart it keeps the item from being called again.
Effects Supervisor::kept(const std::vector<protocol::Claim>& claims, Time now) {
  Effects effects;
  for (const protocol::Claim& claim : claims) {
    for (const PartId& part : claim.parts) {
      LiveItem* live = ledger_.find(part.item);
      if (live == nullptr || live->state != LiveState::unknown) continue;
      if (live->call == claim.call) continue; // it has failed, as we have heard
      ledger_.set_state(*live, LiveState::out);
      live->call = claim.call;
    }
  }
  fill(now, effects);
  return sealed(effects);
}

// The items that nobody claims are those below the mark, which runs far ahead of the calls: no more
// of them were being called than the workers that say nothing could have in flight.
Effects Supervisor::grace_over(Time now, std::uint64_t untold) {
  Effects effects;
  if (grace_) {
    grace_ = false;
    std::vector<std::uint64_t> unclaimed;
    std::uint64_t unheard = 0;
    for (const auto& [item, live] : ledger_.live()) {
      if (live.state != LiveState::unknown) continue;
      unclaimed.push_back(item);
      unheard += may_have_called_ && !live.call; // with a call it has failed
    }
    effects.append.note.ambiguous += std::min({unheard, untold, calls_at_once_});
    std::sort(unclaimed.begin(), unclaimed.end());
    if (mutated("no_requeue_after_restart")) unclaimed.clear();
    if (mutated("death_counted_at_own_crash"))
      for (const std::uint64_t item : unclaimed) ++ledger_.find(item)->deaths;
    for (const std::uint64_t item : unclaimed) again(item, *ledger_.find(item), now, effects);
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::cancel(Time now) {
  Effects effects;
  if (!cancelling_) {
    cancelling_ = true;
    cancel_deadline_ = now + cancel_grace;
    cancel_live(false, effects);
  }
  fill(now, effects);
  return sealed(effects);
}

void Supervisor::cancel_live(bool out_too, Effects& effects) {
  std::vector<std::uint64_t> items;
  for (const auto& [item, live] : ledger_.live())
    if (out_too || live.state != LiveState::out) items.push_back(item);
  std::sort(items.begin(), items.end());
  for (const std::uint64_t item : items) {
    const LiveItem& live = *ledger_.find(item);
    withdraw(live, CallId{}, effects);
    give_up(item, live, OutcomeClass::cancelled, "cancelled", "the job was cancelled", effects);
  }
}

// What is out comes back by itself: COORDINATOR returns what no worker has begun.
Effects Supervisor::pause(Time now) {
  paused_ = true;
  return tick(now);
}

Effects Supervisor::resume(Time now, bool probing) {
  paused_ = false;
  probing_ = probing;
  if (!probing) {
    failures_.resumed();
    outage_.ended();
  }
  quota_.resumed();
  look_for_slow_ones(now);
  return tick(now);
}

Effects Supervisor::charged(std::uint64_t nano_usd) {
  counts_.cost_nano_usd += nano_usd;
  Effects effects;
  effects.progress = true;
  return effects;
}

Effects Supervisor::durable(std::uint64_t completed, std::uint64_t failed, Time now) {
  Effects effects;
  counts_.completed += completed;
  counts_.failed += failed;
  undurable_lines_ -= completed + failed;
  effects.progress = true;
  fill(now, effects);
  return sealed(effects);
}

// Last step of every event: offers find their order, the append carries where reading would go on,
// and the end is seen.
Effects& Supervisor::sealed(Effects& effects) {
  const auto has_prefix = [](const OfferedCall& call) { return call.prefix != 0; };
  if (std::any_of(effects.offers.begin(), effects.offers.end(), has_prefix))
    group_by_prefix(effects.offers);
  Append& append = effects.append;
  if (!append.empty()) {
    append.note.job = job_;
    append.note.low = low();
    counts_.attempts += append.note.attempts;
    counts_.ambiguous += append.note.ambiguous;
    counts_.late += append.note.late;
    counts_.prompt_tokens += append.note.prompt_tokens;
    counts_.completion_tokens += append.note.completion_tokens;
    counts_.cost_nano_usd += append.note.cost_nano_usd;
  }
  check_count(effects);
  if (read_all_ && !said_all_ && !failed_ && counts_.terminal() == counts_.total) {
    said_all_ = true;
    effects.all_terminal = true;
  }
  return effects;
}

Time Supervisor::wake_at() const {
  if (failed_) return never;
  if (!reading_fails_.empty()) return std::min(read_again_at_, cancel_deadline_);
  if (catching_up_) return Time::min();
  if (paused_ && !cancelling_) return never;
  if (proof_) return Time::min();
  if (more_to_read_) return Time::min();
  Time at = std::min(cancel_deadline_, hedge_at_);
  if (!probing_ && !cancelling_) at = std::min(at, outage_.patience_ends());
  if (outage_.told_at() > looked_at_) at = std::min(at, outage_.told_at());
  return credit_.left() ? std::min(at, next_offer_at()) : at;
}

JobCounts Supervisor::counts() const {
  JobCounts counts = counts_;
  counts.retrying = ledger_.retrying_count();
  return counts;
}

} // namespace gristmill::supervisor
