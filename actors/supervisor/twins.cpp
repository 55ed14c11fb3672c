// Two calls of one item: SUPERVISOR offers a second one near the job's end when the first takes far
// too long, and whichever answers first wins.
#include "actors/supervisor/supervisor.hpp"

#include <algorithm>

namespace gristmill::supervisor {
namespace {
constexpr auto look_every = std::chrono::milliseconds{50};
} // namespace

Effects Supervisor::begun(const std::vector<BegunCall>& calls, Time now) {
  Effects effects;
  for (const BegunCall& call : calls) {
    LiveItem* live = ledger_.find(call.item);
    if (live == nullptr || live->state != LiveState::out || live->call != call.call) continue;
    live->begun_at = now;
    live->begun_where = call.endpoint;
  }
  look_for_slow_ones(now);
  fill(now, effects);
  return sealed(effects);
}

// Something may have changed what hedge() found; not for each of many answers.
void Supervisor::look_for_slow_ones(Time now) {
  if (hedging_.is_on()) hedge_at_ = std::min(hedge_at_, now + look_every);
}

// Only where everything has begun: else a first call needs the place more than a second one does.
void Supervisor::hedge(Time now, Effects& effects) {
  if (now < hedge_at_) return;
  hedge_at_ = never;
  if (!read_all_ || failed_ || paused_ || cancelling_ || is_alone_out()) return;
  std::vector<std::pair<Time, std::uint64_t>> single; // begun at, item
  for (const auto& [item, live] : ledger_.live()) {
    if (live.state == LiveState::ready) continue;
    if (live.begun_at == never) return;
    if (!live.hedged) single.emplace_back(live.begun_at, item);
  }
  std::sort(single.begin(), single.end());
  const auto patience = hedging_.patience();
  if (!patience) return;
  for (const auto& [begun_at, item] : single) {
    if (!hedging_.may_begin(counts_.total) || !credit_.left()) return;
    if (now < begun_at + *patience) {
      hedge_at_ = begun_at + *patience;
      return;
    }
    offer_twin(item, *ledger_.find(item), effects);
  }
}

void Supervisor::offer_twin(std::uint64_t item, LiveItem& live, Effects& effects) {
  live.hedged = true;
  auto raw = intake_.read_again(live.place);
  if (!raw) return; // the first call may yet answer it
  hedging_.begun();
  live.twin = CallId{next_call_++};
  std::vector<EndpointId> slow_at = live.failed_at;
  slow_at.push_back(live.begun_where);
  offer(item, live, live.twin, std::move(slow_at), std::move(*raw), effects);
}

// A call that ended without an answer and without fault of its item.
void Supervisor::gone(std::uint64_t item, LiveItem& live, CallId call, Time now, Effects& effects) {
  if (live.twin) {
    ItemLedger::drop_twin(live, call);
  } else {
    again(item, live, now, effects);
  }
}

void Supervisor::withdraw(const LiveItem& live, CallId but, Effects& effects) {
  if (live.state != LiveState::out) return;
  for (const CallId call : {live.call, live.twin})
    if (call && call != but) effects.withdrawn.push_back(call);
}

} // namespace gristmill::supervisor
