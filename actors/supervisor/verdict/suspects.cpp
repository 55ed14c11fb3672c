#include "actors/supervisor/verdict/suspects.hpp"

#include "protocol/limits.hpp"

#include <algorithm>
#include <cmath>

namespace gristmill::supervisor {
namespace {

// One is needed after each of the failures by which a part is found, but the last: two beside
// others, two alone; the rest is for what comes between.
constexpr std::size_t witnesses_kept = 8, witnesses_out = 3;
constexpr std::size_t few = 8;

} // namespace

void Suspects::answered(const std::vector<PartId>& parts) {
  ++answers_;
  if (parts.size() == 1 && single_ == parts[0] && alone_ != parts[0]) ++answered_single_;
}

std::uint8_t Suspects::failures_needed() const {
  constexpr double by_chance = 1e-3, failures_most = 40;
  constexpr std::uint32_t lost_least = 3; // of fewer one may be who is sought
  if (lost_single_ < lost_least) return alone_failures_max;
  const double lost = lost_single_, share = lost / (lost + std::max(answered_single_, 1u));
  const double needed = std::ceil(std::log(by_chance) / std::log(share));
  return static_cast<std::uint8_t>(std::clamp(needed, 1.0 * alone_failures_max, failures_most));
}

// The one that has failed so most often, while there is somebody to compare it with. Until another
// was answered since the last failure it is the one that has failed least, and only where nobody
// else is left.
std::optional<PartId> Suspects::next_alone(const PartLedger& ledger, bool read_all,
                                           Time now) const {
  std::optional<PartId> next;
  const OpenPart* best = nullptr;
  const bool witnessed = !needs_witness(ledger);
  if (!witnessed && !is_last(ledger, read_all)) return std::nullopt;
  for (const PartId& id : ledger.alone()) {
    const OpenPart& part = ledger.at(id);
    if (!part.is_ready() || (witnessed && part.not_before() > now)) continue;
    const auto failures = part.tally.alone_failures;
    const bool better = best == nullptr || (witnessed ? failures > best->tally.alone_failures
                                                      : failures < best->tally.alone_failures);
    if (!better) continue;
    best = &part;
    next = id;
  }
  return best != nullptr && best->not_before() <= now ? next : std::nullopt;
}

// They go one by one, so that there are some left to be compared with.
bool Suspects::needs_witness(const PartLedger& ledger) const {
  return std::any_of(ledger.alone().begin(), ledger.alone().end(),
                     [&](const PartId& id) { return answers_ < ledger.at(id).tally.alone_after; });
}

// To probe the endpoint and to be answered between two failures of those that go alone. In the end
// nobody else waits, and they go by a few.
bool Suspects::keeps_witnesses(const PartLedger& ledger) const {
  if (ledger.suspects() == 0) return false;
  if (ledger.waiting_count(Lane::open) > witnesses_kept) return false;
  const bool probes = needs_witness(ledger) || ledger.waiting_count(Lane::behind) > 0;
  if (probes) return ledger.out_count() > 0;
  const bool others = ledger.waiting_count(Lane::portions) > 0 || !ledger.alone().empty();
  return others || ledger.out_count() >= witnesses_out;
}

bool Suspects::is_alone_out(const PartLedger& ledger) const {
  const OpenPart* part = alone_ ? ledger.find(*alone_) : nullptr;
  return part != nullptr && !part->is_ready() && !part->follows();
}

bool is_last(const PartLedger& ledger, bool read_all) {
  const std::size_t called = ledger.called_count();
  // While so many follow that nothing more is read, nobody else will come either.
  const bool nobody_comes = read_all || ledger.live_count() >= limits::live_parts_max;
  return nobody_comes && (called == 1 || called == ledger.alone().size());
}

bool only_few_are_left(const PartLedger& ledger, bool read_all) {
  if (!read_all || ledger.called_count() > few) return false;
  return std::all_of(ledger.live().begin(), ledger.live().end(), [](const auto& one) {
    return one.second.follows() || one.second.tally.tries > 0;
  });
}

} // namespace gristmill::supervisor
