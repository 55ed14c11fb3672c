#include "actors/supervisor/turns.hpp"

#include <algorithm>

namespace gristmill::supervisor {
namespace {
constexpr auto probe_follows = std::chrono::seconds{2};
} // namespace

std::optional<Turns::Turn> Turns::next(const PartLedger& ledger, const Suspects& suspects,
                                       Situation situation) const {
  const Time now = situation.now;
  if (suspects.is_alone_out(ledger) || (suspects.needs_witness(ledger) && ledger.out_count() > 0))
    return std::nullopt;
  const auto of = [](std::optional<PartId> part) {
    return part ? std::optional{Turn{*part, false}} : std::nullopt;
  };
  if (const auto alone = suspects.next_alone(ledger, situation.all_read, now))
    return ledger.out_count() > 0 || !has_stream(situation.room, *alone)
               ? std::nullopt
               : std::optional{Turn{*alone, true}};
  if (ledger.next_due(Lane::portions) <= now)
    return ledger.portion_has_room() ? of(ledger.due(Lane::portions, now, situation.room))
                                     : std::nullopt;
  const bool kept_back = !situation.cancelling && suspects.keeps_witnesses(ledger);
  return kept_back ? std::nullopt : of(ledger.due(Lane::open, now, situation.room));
}

bool Turns::others_stand(const PartLedger& ledger, const Suspects& suspects,
                         Situation situation) const {
  if (situation.cancelling) return false;
  return suspects.is_alone_out(ledger) ||
         (suspects.needs_witness(ledger) && ledger.out_count() > 0) ||
         suspects.next_alone(ledger, situation.all_read, situation.now) ||
         ledger.next_due(Lane::portions) <= situation.now;
}

std::optional<PartId> Turns::next_probe(const PartLedger& ledger, Time now, Streams room) const {
  if (ledger.waiting_count(Lane::behind) == 0) return std::nullopt;
  if (ledger.out_count() > 0 && now < probed_at_ + probe_follows) return std::nullopt;
  const auto kept_back = ledger.due(Lane::open, now, room);
  return kept_back ? kept_back : ledger.due(Lane::behind, now, room);
}

Time Turns::next_at(const PartLedger& ledger) const {
  Time at = never;
  const auto later = [&](Time due) {
    if (due > looked_at_) at = std::min(at, due);
  };
  later(ledger.next_due(Lane::open));
  later(ledger.next_due(Lane::portions));
  later(std::max(ledger.next_due(Lane::behind), probed_at_ + probe_follows));
  later(ledger.next_due(Lane::behind));
  for (const PartId& part : ledger.alone())
    if (const OpenPart& open = ledger.at(part); open.is_ready()) later(open.not_before());
  return at;
}

} // namespace gristmill::supervisor
