#include "actors/supervisor/open_parts.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <variant>

namespace gristmill::supervisor {
namespace {
constexpr std::uint32_t deaths_max = 3;
} // namespace

InputPosition OpenParts::low(const InputPosition& read) const {
  const std::uint64_t low = ledger_.low();
  if (low >= read.item || mutated("low_mark_ahead")) return read;
  const auto place = ledger_.place_of(job_, low);
  GRISTMILL_CHECK(place, "item {} is neither open nor terminal", low);
  const Preprocessed before = mutated("dropped_are_forgotten") ? Preprocessed{} : place->before;
  return {place->input, place->offset, place->line == 0 ? 0 : place->line - 1, low, before};
}

Parts OpenParts::named(std::uint64_t item, const std::vector<std::uint32_t>& numbers) const {
  Parts parts;
  for (const std::uint32_t number : numbers) parts.push_back({job_, item, number});
  return parts;
}

Parts OpenParts::divide(const intake::Item& item, const Division& division, std::uint32_t most) {
  if (division.is_whole()) return {{job_, item.ordinal, 0}};
  DividedItem& divided = ledger_.divide(item.ordinal, item.place, item.id, division);
  if (most == 0) with_more_.push_back(item.ordinal);
  return named(item.ordinal, divided.open_more(most));
}

Parts OpenParts::go_on(std::uint64_t item, std::uint32_t model, std::uint32_t most, Time now) {
  ledger_.go_on(item, model);
  DividedItem& divided = *ledger_.divided(item);
  if (most == 0) with_more_.push_back(item);
  Parts opened = named(item, divided.open_more(most));
  for (const PartId& part : opened) open(part, divided, Ready{now, {}});
  return opened;
}

void OpenParts::end(const PartId& part, bool failed, std::uint32_t size) {
  ledger_.end(part, failed, size);
  const DividedItem* divided = ledger_.divided(part.item);
  if (divided != nullptr && divided->branch_of(PartNumber::of(part.part))->has_more())
    with_more_.push_back(part.item);
}

// Within the grace an earlier life may have opened them, too.
void OpenParts::open_more(Time now) {
  while (!with_more_.empty() && has_room()) {
    const std::uint64_t item = with_more_.front();
    with_more_.pop_front();
    DividedItem* divided = ledger_.divided(item);
    if (divided == nullptr) continue;
    for (const PartId& part : named(item, divided->open_more()))
      open(part, *divided, grace_ ? PartState{Unknown{}} : PartState{Ready{now, {}}});
  }
}

Parts OpenParts::drop_waiting(std::uint64_t item) {
  DividedItem* divided = ledger_.divided(item);
  if (divided == nullptr) return {};
  Parts opened = named(item, divided->drop_waiting());
  for (const PartId& part : opened) open(part, *divided, Out{});
  return opened;
}

Parts OpenParts::drop_waiting() {
  Parts all;
  ledger_.each_divided([&](std::uint64_t item, const DividedItem&) {
    const Parts opened = drop_waiting(item);
    all.insert(all.end(), opened.begin(), opened.end());
  });
  return all;
}

bool OpenParts::open_named(const PartId& part, Time now) {
  const PartNumber number = PartNumber::of(part.part);
  DividedItem* divided = ledger_.divided(part.item);
  Branch* branch = divided == nullptr ? nullptr : divided->branch_of(number);
  if (branch == nullptr || !branch->waits(number)) return false;
  branch->open(number.index);
  open(part, *divided, grace_ ? PartState{Unknown{}} : PartState{Ready{now, {}}});
  return true;
}

void OpenParts::open(const PartId& part, const DividedItem& item, PartState state) {
  intake::Item read;
  read.place = item.place;
  read.id = item.id;
  open(part, read, std::move(state));
}

bool OpenParts::is_prepared(const PartId& part) const {
  const OpenPart* open = ledger_.find(part);
  return open != nullptr && open->is_prepared();
}

const OpenPart& OpenParts::open(const PartId& part, const intake::Item& item, PartState state) {
  OpenPart open;
  open.state = std::move(state);
  open.place = item.place;
  open.id = item.id;
  open.tally = ledger_.take_recovered(part);
  ledger_.add(part, std::move(open));
  return ledger_.at(part);
}

void OpenParts::begun(const BegunCall& call, Time now) {
  if (book_.find(call.call) != nullptr) book_.begun(call.call, call.endpoint, now);
}

// ---- after a restart ---------------------------------------------------------------------------

Calls OpenParts::claimed(const protocol::Claim& claim, Time now) {
  Calls withdrawn;
  Parts taken;
  for (const PartId& part : claim.parts) {
    const OpenPart* open = ledger_.find(part);
    if (open == nullptr) continue;
    // Its worker lives after all.
    change_tally(part, [](PartTally& tally) { tally.deaths -= tally.deaths > 0; });
    const Call* known = book_.find(open->call());
    if (open->call() && (open->call() == claim.call || (known && known->other == claim.call)))
      continue;
    const Calls others = withdraw_others(part, claim.call);
    withdrawn.insert(withdrawn.end(), others.begin(), others.end());
    ledger_.set_out(part, claim.call); // its call goes on
    taken.push_back(part);
  }
  const bool all_ended =
      std::all_of(claim.parts.begin(), claim.parts.end(),
                  [this](const PartId& part) { return ledger_.has_ended(part); });
  if (all_ended) withdrawn.push_back(claim.call);
  book_.take(claim.call, taken, now);
  return withdrawn;
}

// The outcome itself follows. It may be one that was handled already and whose Recorded got lost,
// so it takes the part from nobody; but one that waits for this call's outcome, since a restart or
// since its session was given up, is not called again meanwhile.
void OpenParts::kept(const protocol::Claim& claim) {
  Parts taken;
  for (const PartId& part : claim.parts) {
    const OpenPart* open = ledger_.find(part);
    if (open == nullptr || !awaits(*open, part, claim.call)) continue;
    book_.release(open->call(), part);
    ledger_.set_out(part, claim.call);
    taken.push_back(part);
  }
  book_.take(claim.call, taken);
}

// Of two calls of earlier lives whose outcomes are kept the later one decides: it was made because
// the other had failed.
bool OpenParts::awaits(const OpenPart& open, const PartId& part, CallId kept) const {
  const CallId with = open.call();
  if (!with) return hears(part, kept);
  const Call* call = book_.find(with);
  return with < kept && of_earlier_life(kept) && of_earlier_life(with) && call != nullptr &&
         call->begun_at == never && !call->other;
}

OpenParts::Unclaimed OpenParts::grace_over(Time now) {
  Unclaimed unclaimed;
  if (!std::exchange(grace_, false)) return unclaimed;
  std::unordered_set<RequestKey> keys; // one of those that ask the same was called
  for (const auto& [part, open] : ledger_.live()) {
    const Unknown* unknown = std::get_if<Unknown>(&open.state);
    if (unknown == nullptr) continue;
    unclaimed.parts.push_back(part);
    const RequestKey& key = open.request.key;
    unclaimed.unheard += !unknown->failed && (!key || keys.insert(key).second);
  }
  std::sort(unclaimed.parts.begin(), unclaimed.parts.end());
  if (mutated("no_requeue_after_restart")) unclaimed.parts.clear();
  for (const PartId& part : unclaimed.parts) {
    if (mutated("death_counted_at_own_crash"))
      change_tally(part, [](PartTally& tally) { ++tally.deaths; });
    ledger_.wait(part, now);
  }
  return unclaimed;
}

// ---- ends of calls -----------------------------------------------------------------------------

bool OpenParts::hears(const PartId& part, CallId call) const {
  const OpenPart* open = ledger_.find(part);
  if (open == nullptr) return false;
  const Call* first = book_.find(open->call());
  return std::visit(
      [&]<class State>(const State& state) {
        if constexpr (std::is_same_v<State, Unknown>) return state.failed != call;
        if constexpr (std::is_same_v<State, Ready>) return state.lost == call;
        if constexpr (std::is_same_v<State, Out>)
          return state.call == call || (first != nullptr && first->other == call);
        if constexpr (std::is_same_v<State, Following>) return false;
      },
      open->state);
}

Parts OpenParts::gone(CallId call, Time now) {
  Parts waiting;
  const Call* known = book_.find(call);
  if (known == nullptr) return waiting;
  for (const PartId& part : known->parts) {
    if (mutated("call_freed_for_one_part") && part != known->parts[0]) break;
    const OpenPart* open = ledger_.find(part);
    if (open == nullptr || open->call() != call) continue;
    if (known->other) {
      ledger_.set_out(part, known->other);
    } else {
      ledger_.wait(part, now, call);
      waiting.push_back(part);
    }
  }
  book_.close(call);
  return waiting;
}

// Only a call that was alone at a death of its worker is known to be the cause, and only of its
// single part: of several each goes by itself from then on.
OpenParts::Loss OpenParts::lost(const LostCall& lost, Time now) {
  Loss loss;
  const Call* call = book_.find(lost.call);
  if (call == nullptr) return loss;
  loss.parts = call->parts;
  loss.died = lost.permitted && lost.died;
  const bool may_be_the_cause = lost.alone && !call->other;
  for (const PartId& part : loss.parts) {
    change_tally(part, [&](PartTally& tally) {
      tally.deaths += loss.died;
      tally.consumed += mutated("lost_consumes_attempt");
    });
    if (!may_be_the_cause || ledger_.at(part).tally.deaths < deaths_max) continue;
    if (loss.parts.size() == 1)
      loss.quarantined = part;
    else
      ledger_.set_company(part, 1);
  }
  Parts waiting = gone(lost.call, now);
  if (!loss.quarantined) loss.waiting = std::move(waiting);
  return loss;
}

// Of a call that carries others, too, the part's answer will be late.
Calls OpenParts::withdraw_others(const PartId& part, CallId but) {
  Calls withdrawn;
  const CallId first = ledger_.at(part).call();
  if (!first) return withdrawn;
  const Call* known = book_.find(first);
  for (const CallId call : {first, known == nullptr ? CallId{} : known->other}) {
    if (!call || call == but) continue;
    const Call* other = book_.find(call);
    const bool carries_others = other != nullptr && other->parts.size() > 1;
    book_.release(call, part);
    if (!carries_others) withdrawn.push_back(call);
  }
  return withdrawn;
}

OpenParts::Withdrawn OpenParts::withdraw_all(bool out_too) {
  Withdrawn withdrawn;
  for (const auto& [part, open] : ledger_.live())
    if (out_too || !open.call()) withdrawn.parts.push_back(part);
  std::sort(withdrawn.parts.begin(), withdrawn.parts.end());
  for (const PartId& part : withdrawn.parts) {
    const Calls calls = withdraw_others(part, CallId{});
    withdrawn.calls.insert(withdrawn.calls.end(), calls.begin(), calls.end());
  }
  return withdrawn;
}

// ---- what becomes of a part --------------------------------------------------------------------

template <class Change> void OpenParts::change_tally(const PartId& part, Change change) {
  PartTally tally = ledger_.at(part).tally;
  change(tally);
  ledger_.set_tally(part, std::move(tally));
}

void OpenParts::tried(const PartId& part) {
  change_tally(part, [](PartTally& tally) { ++tally.tries; });
}

void OpenParts::judged(const PartId& part, const Judgement& judgement) {
  ledger_.set_tally(part, judgement.tally);
  // Also of one that ends: the others that go alone find the endpoint as it left it.
  if (judgement.alone_wait != 0) ledger_.alone_wait_for(judgement.alone_wait);
  if (judgement.company != 0 && !mutated("refused_pack_goes_again"))
    ledger_.set_company(part, judgement.company);
  if (judgement.behind_since != never) ledger_.fall_behind(part, judgement.behind_since);
}

void OpenParts::again(const PartId& part, CallId failed, Time not_before) {
  if (grace_ && of_earlier_life(failed))
    ledger_.set_unknown(part, failed);
  else
    ledger_.wait(part, not_before); // if its failure is told again, it has been handled
}

void OpenParts::fall_back(const PartId& part, CallId next) {
  change_tally(part, [next](PartTally& tally) {
    tally.on_fallback = true;
    tally.fallback_from = next;
    tally.consumed = 0;
    tally.repaired = false;
  });
  ledger_.forget_repair(part);
}

journal::AttemptNote OpenParts::note_of(const PartId& part) const {
  const PartTally& tally = ledger_.at(part).tally;
  return {part, tally.consumed, tally.deaths, tally.on_fallback ? std::max(tally.tries, 1u) : 0,
          ledger_.divided(part.item) != nullptr};
}

void OpenParts::divide(const Call& call) {
  const auto half = static_cast<std::uint32_t>((call.parts.size() + 1) / 2);
  for (const PartId& part : call.parts) ledger_.set_company(part, half);
}

void OpenParts::apart(const PartId& part, CallId call, Time now) {
  const Call* known = book_.find(call);
  if (known != nullptr && known->other)
    ledger_.set_out(part, known->other);
  else
    again(part, call, now);
}

bool OpenParts::pay(const Debts::Debt& debt, Time now) {
  const OpenPart* open = ledger_.find(debt.part);
  if (open == nullptr) return false;
  const bool is_suspicion =
      debt.kind == Debts::Kind::suspicion ||
      (debt.kind == Debts::Kind::slight_suspicion && open->suspicions < suspicions_portion);
  if (is_suspicion) ledger_.suspect(debt.part, now);
  if (debt.kind != Debts::Kind::attempt) return false;
  change_tally(debt.part,
               [](PartTally& tally) { tally.consumed += mutated("debt_paid_twice") ? 2 : 1; });
  return true;
}

void OpenParts::walk() const {
  for (const auto& [part, open] : ledger_.live()) {
    if (!std::holds_alternative<Out>(open.state) || open.is_prepared()) continue;
    const Call* call = book_.find(open.call());
    GRISTMILL_CHECK(call != nullptr &&
                        std::count(call->parts.begin(), call->parts.end(), part) == 1,
                    "part {} of item {} is out with call {}, which does not carry it", part.part,
                    part.item, open.call().value);
  }
  for (const auto& [id, call] : book_.calls()) {
    GRISTMILL_CHECK(!call.parts.empty(), "call {} carries nothing", id.value);
    for (const PartId& part : call.parts) {
      const OpenPart* open = ledger_.find(part);
      const CallId with = open == nullptr ? CallId{} : open->call();
      GRISTMILL_CHECK(with && (with == id || with == call.other),
                      "call {} carries part {} of item {}, which is out with call {}", id.value,
                      part.part, part.item, with.value);
    }
  }
}

} // namespace gristmill::supervisor
