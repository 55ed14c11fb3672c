#include "actors/supervisor/supervisor.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/openai/task/labels.hpp"
#include "protocol/rules/served.hpp"
#include "protocol/text/json_text.hpp"

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

// Calls beyond one for each item that is done: each of them may have been a second one.
std::uint64_t second_calls(const JobCounts& counts) {
  const std::uint64_t calls = counts.attempts + counts.late;
  return calls - std::min(calls, counts.terminal());
}

const NoCall was_cancelled{OutcomeClass::cancelled, "cancelled", "the job was cancelled"};

} // namespace

Supervisor::Supervisor(JobId job, Epoch epoch, JobSpec spec, intake::ByteSource& source,
                       RecoveredItems recovered, const std::vector<PoolSpec>& pools,
                       const PartPlan& plan)
    : job_{job}, spec_{std::move(spec)}, plan_{plan},
      offers_{job, spec_, pools, plan,
              CallId{std::max(CallId::of(epoch, job, 1).value, recovered.next_call)}},
      reader_{spec_, source, recovered.low, recovered.mark}, ledger_{std::move(recovered.terminal),
                                                                     std::move(recovered.parts)},
      verdict_{spec_}, hedging_{spec_.policy.hedge_percent, second_calls(recovered.counts)},
      waited_{recovered.outage}, counts_{recovered.counts}, begun_{recovered.mark > 0 ||
                                                                   recovered.counts.terminal() >
                                                                       0 ||
                                                                   recovered.low.item > 0},
      may_have_called_{recovered.may_have_called}, calls_at_once_{recovered.calls_at_once} {
  counts_.total = std::max(recovered.counts.total, recovered.low.item);
  errors_.count_from(recovered.errors);
}

// ---- events ------------------------------------------------------------------------------------

Effects Supervisor::started(Time now) {
  Effects effects;
  if (waited_) verdict_.outage_goes_on(*waited_, now);
  reader_.look_ahead(begun_, now, [&](intake::Item item) { expect(std::move(item), effects); });
  fail(reader_.take_failure(), effects);
  effects.progress = true;
  return sealed(effects);
}

Effects Supervisor::wanted(std::uint32_t calls, std::uint64_t bytes, Time now) {
  offers_.may_make(calls, bytes);
  hedging_.look_soon(now);
  return tick(now);
}

Effects Supervisor::tick(Time now) {
  Effects effects;
  if (now >= cancel_deadline_) {
    cancel_live(true, effects);
    cancel_deadline_ = never;
  }
  if (!probing_) stop(verdict_.outage().over(now), effects);
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random) {
  Effects effects;
  for (ReportedOutcome& call : outcomes) accept(call, now, random, effects);
  hedging_.look_soon(now);
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::returned(const std::vector<LostCall>& calls, Time now) {
  Effects effects;
  for (const LostCall& lost : calls) {
    const Call* known = book_.find(lost.call);
    if (known == nullptr) continue;
    const Call call = *known;
    for (const PartId& part : call.parts) {
      const OpenPart& open = ledger_.at(part);
      if (lost.exceeds.empty() || cancelling_ || call.other) {
        gone(part, lost.call, now, effects);
      } else if (call.parts.size() > 1) {
        apart(part, lost.call, now, effects);
      } else if (open.has_fallback && !open.tally.on_fallback &&
                 may_fall_back(OutcomeClass::too_long)) {
        fall_back(part, lost.call, now, effects);
      } else {
        give_up(ending_of(part), {OutcomeClass::too_long, "exceeds_limit", lost.exceeds}, effects);
      }
    }
    book_.close(lost.call);
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::lost(const std::vector<LostCall>& calls, Time now) {
  Effects effects;
  for (const LostCall& lost : calls) {
    const Call* known = book_.find(lost.call);
    if (known == nullptr) continue;
    const Call call = *known;
    for (const PartId& part : call.parts) {
      PartTally tally = ledger_.at(part).tally;
      if (mutated("call_freed_for_one_part") && part != call.parts[0]) break;
      effects.append.note.ambiguous += lost.permitted;
      if (mutated("lost_consumes_attempt")) ++tally.consumed;
      const bool died = lost.permitted && lost.died;
      tally.deaths += died;
      ledger_.set_tally(part, tally);
      if (died) effects.append.attempts.push_back(note_of(part));
      // Only a call that was alone at a death is known to be its cause, and only of its single
      // part.
      if (tally.deaths < deaths_max || !lost.alone || call.other) {
        gone(part, lost.call, now, effects);
      } else if (call.parts.size() > 1) {
        apart(part, lost.call, now, effects);
      } else {
        give_up(ending_of(part),
                {OutcomeClass::bad_line, "quarantined",
                 fmt::format("{} workers died while they made this call", tally.deaths)},
                effects);
      }
    }
    book_.close(lost.call);
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::claimed(const std::vector<protocol::Claim>& claims, Time now) {
  Effects effects;
  for (const protocol::Claim& claim : claims) {
    if (mutated("claim_ignored")) break;
    std::vector<PartId> taken;
    for (const PartId& part : claim.parts) {
      const OpenPart* open = ledger_.find(part);
      if (open == nullptr) continue;
      PartTally tally = open->tally;
      tally.deaths -= tally.deaths > 0; // its worker lives after all
      ledger_.set_tally(part, tally);
      const Call* known = book_.find(open->call());
      if (open->call() && (open->call() == claim.call || (known && known->other == claim.call)))
        continue;
      withdraw_others(part, claim.call, effects);
      ledger_.set_out(part, claim.call); // its call goes on
      taken.push_back(part);
    }
    const bool all_ended =
        std::all_of(claim.parts.begin(), claim.parts.end(),
                    [this](const PartId& part) { return ledger_.has_ended(part); });
    if (all_ended) effects.withdrawn.push_back(claim.call);
    book_.take(claim.call, taken, now);
  }
  fill(now, effects);
  return sealed(effects);
}

// The outcome itself follows. It may be one that was handled already and whose Recorded got lost,
// so it takes the part from nobody; after a restart it keeps the part from being called again.
Effects Supervisor::kept(const std::vector<protocol::Claim>& claims, Time now) {
  Effects effects;
  for (const protocol::Claim& claim : claims) {
    std::vector<PartId> taken;
    for (const PartId& part : claim.parts) {
      const OpenPart* open = ledger_.find(part);
      const Unknown* unknown = open == nullptr ? nullptr : std::get_if<Unknown>(&open->state);
      if (unknown == nullptr || unknown->failed == claim.call) continue; // it failed, as we heard
      ledger_.set_out(part, claim.call);
      taken.push_back(part);
    }
    book_.take(claim.call, taken);
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::begun(const std::vector<BegunCall>& calls, Time now) {
  Effects effects;
  for (const BegunCall& call : calls)
    if (book_.find(call.call) != nullptr) book_.begun(call.call, call.endpoint, now);
  hedging_.look_soon(now);
  fill(now, effects);
  return sealed(effects);
}

// The parts that nobody claims are those below the mark, which runs far ahead of the calls: no more
// of them were being called than the workers that say nothing could have in flight.
Effects Supervisor::grace_over(Time now, std::uint64_t untold) {
  Effects effects;
  if (grace_) {
    grace_ = false;
    std::vector<PartId> unclaimed;
    std::uint64_t unheard = 0;
    for (const auto& [part, open] : ledger_.live()) {
      const Unknown* unknown = std::get_if<Unknown>(&open.state);
      if (unknown == nullptr) continue;
      unclaimed.push_back(part);
      unheard += may_have_called_ && !unknown->failed;
    }
    effects.append.note.ambiguous += std::min({unheard, untold, calls_at_once_});
    std::sort(unclaimed.begin(), unclaimed.end());
    if (mutated("no_requeue_after_restart")) unclaimed.clear();
    for (const PartId& part : unclaimed) {
      if (mutated("death_counted_at_own_crash")) {
        PartTally tally = ledger_.at(part).tally;
        ++tally.deaths;
        ledger_.set_tally(part, tally);
      }
      again(part, {}, now, effects);
    }
  }
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::durable(const DurableLines& lines, Time now) {
  Effects effects;
  counts_.completed += lines.completed;
  counts_.failed += lines.failed;
  undurable_lines_ -= lines.completed + lines.failed + lines.parts;
  effects.joins = lines.joins;
  effects.progress = true;
  fill(now, effects);
  return sealed(effects);
}

Effects Supervisor::joined(std::vector<JoinedItem> items, const std::string& failure, Time now) {
  Effects effects;
  if (!failure.empty()) fail(StateChange{JobState::failed, JobReason::internal, failure}, effects);
  for (JoinedItem& item : items) {
    const DividedItem* divided = ledger_.divided(item.item);
    if (divided == nullptr) continue; // told twice
    const bool failed = item.cls != OutcomeClass::ok;
    const std::string sample = failed ? fmt::format("{} ({})", json::printable(divided->id, 100),
                                                    reader_.source_of(divided->place))
                                      : "";
    if (failed) errors_.ended_item({item.cls, item.code, 0, {}});
    ledger_.end_item(item.item);
    ++(failed ? effects.append.durable.failed : effects.append.durable.completed);
    ++undurable_lines_;
    stop(verdict_.item_ended(item.cls, item.code, sample), effects);
    effects.append.lines.push_back({job_, item.item, item.cls, std::move(item.line)});
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
  std::vector<PartId> parts;
  for (const auto& [part, open] : ledger_.live())
    if (out_too || !open.call()) parts.push_back(part);
  std::sort(parts.begin(), parts.end());
  for (const PartId& part : parts) {
    withdraw_others(part, CallId{}, effects);
    give_up(ending_of(part), was_cancelled, effects);
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
  verdict_.resumed(probing);
  hedging_.look_soon(now);
  return tick(now);
}

Effects Supervisor::charged(Usd cost) {
  counts_.cost += cost;
  Effects effects;
  effects.progress = true;
  return effects;
}

// Last step of every event: offers find their order, the append carries where reading would go on,
// and the end is seen.
Effects& Supervisor::sealed(Effects& effects) {
  leave(effects);
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
    counts_.cost += append.note.cost;
  }
  check_count(effects);
  if (reader_.is_at_end() && !said_all_ && !failed_ && counts_.terminal() == counts_.total) {
    said_all_ = true;
    effects.all_terminal = true;
  }
  ledger_.invariant();
  return effects;
}

// ---- reading -----------------------------------------------------------------------------------

// An item that a worker may be calling.
void Supervisor::expect(intake::Item item, Effects& effects) {
  if (ledger_.is_terminal(item.ordinal)) return;
  const std::uint32_t parts = plan_.parts_of(job_, item.ordinal);
  if (parts > 1) divide(item, parts, effects);
  for (std::uint32_t n = 0; n < parts; ++n) {
    const PartId part{job_, item.ordinal, n};
    if (ledger_.has_ended(part)) continue;
    OpenPart open = opened(part, item, Unknown{});
    open.has_fallback = offers_.has_fallback(item.place.kind, item.raw, open.tally.on_fallback);
    ledger_.add(part, std::move(open));
  }
}

OpenPart Supervisor::opened(const PartId& part, const intake::Item& item, PartState state) {
  OpenPart open;
  open.state = std::move(state);
  open.place = item.place;
  open.id = item.id;
  open.tally = ledger_.take_recovered(part);
  return open;
}

// All its parts may have ended in an earlier life, which did not come to join them.
void Supervisor::divide(const intake::Item& item, std::uint32_t parts, Effects& effects) {
  ledger_.divide(item.ordinal, {item.place, item.id, parts});
  if (ledger_.divided(item.ordinal)->is_whole()) effects.joins.push_back(to_join(item.ordinal));
}

bool Supervisor::caught_up(Time now, Effects& effects) {
  if (reader_.catch_up(now))
    for (int n = 0; n < Reader::items_per_slice; ++n)
      if (!reader_.is_catching_up() || !read_next(now, effects)) break;
  fail(reader_.take_failure(), effects);
  return !failed_ && !reader_.is_catching_up();
}

bool Supervisor::read_next(Time now, Effects& effects) {
  auto item = reader_.next(now);
  if (item) {
    counts_.total = std::max(counts_.total, item->ordinal + 1);
    return take_up(std::move(*item), now, effects);
  }
  fail(reader_.take_failure(), effects);
  if (reader_.is_at_end()) counts_.total_known = effects.progress = true;
  return false;
}

// False: the job stops at it.
bool Supervisor::take_up(intake::Item item, Time now, Effects& effects) {
  const std::uint64_t number = item.ordinal;
  if (ledger_.is_terminal(number)) return true;
  const bool known = ledger_.place_of(job_, number).has_value(); // looked at ahead
  if (known && item.bad.empty()) return true;
  if (!item.bad.empty() && !known && spec_.policy.strict && !cancelling_) {
    stop(reader_.bad_line(item.place, item.bad), effects);
    return false;
  }
  if (!item.bad.empty()) {
    end_bad(item, effects);
    return true;
  }
  const std::uint32_t parts = plan_.parts_of(job_, number);
  if (parts > 1) divide(item, parts, effects);
  for (std::uint32_t n = 0; n < parts; ++n) {
    const PartId part{job_, number, n};
    if (ledger_.has_ended(part)) continue;
    ledger_.add(part, opened(part, item, Out{}));
    if (cancelling_)
      give_up(ending_of(part), was_cancelled, effects);
    else if (ledger_.suspects() > 0) // it may be one of the last
      ledger_.wait(part, now);
    else
      offer(part, item.raw, now, effects);
  }
  return true;
}

// A line that can become no call. One that a worker may be calling is out, and ends as it will.
void Supervisor::end_bad(const intake::Item& item, Effects& effects) {
  const NoCall why{OutcomeClass::bad_line, "invalid_line",
                   fmt::format("{}: {}", reader_.source_of(item.place), item.bad)};
  const DividedItem* divided = ledger_.divided(item.ordinal);
  const std::uint32_t parts = divided == nullptr ? 1 : divided->parts;
  for (std::uint32_t n = 0; n < parts; ++n) {
    const PartId part{job_, item.ordinal, n};
    const OpenPart* open = ledger_.find(part);
    if (ledger_.has_ended(part) || (open != nullptr && open->call())) continue;
    const PartTally tally = open == nullptr ? ledger_.take_recovered(part) : open->tally;
    give_up({part, item.place, item.id, tally.tries}, cancelling_ ? was_cancelled : why, effects);
  }
}

bool Supervisor::may_read() const {
  if (reader_.is_at_end() || undurable_lines_ >= undurable_lines_max) return false;
  return cancelling_ || (offers_.has_room() &&
                         ledger_.live_count() + ledger_.joining_count() < limits::live_parts_max);
}

// Results for more items than the input has: it is not the one that they were made from, and the
// job would wait for ever.
void Supervisor::check_count(Effects& effects) {
  const std::uint64_t items = reader_.position().item;
  if (!reader_.is_at_end() || said_all_) return;
  if (counts_.terminal() <= items && counts_.total <= items) return;
  fail(StateChange{JobState::failed, JobReason::input,
                   fmt::format("expected the input that the job began with, with {} items or more, "
                               "got {} of them: it has changed; put the old file back and resume, "
                               "or submit it anew",
                               std::max(counts_.terminal(), counts_.total), items)},
       effects);
}

// ---- offering ----------------------------------------------------------------------------------

void Supervisor::fill(Time now, Effects& effects) {
  offer_next(now, effects);
  leave(effects);
  hedge(now, effects);
}

void Supervisor::offer_next(Time now, Effects& effects) {
  turns_.look(now);
  const Suspects& suspects = verdict_.suspects();
  if (!reader_.may_try(now) || failed_) return;
  const bool waits = paused_ && !cancelling_;
  if (reader_.is_proving() && (waits || !reader_.prove(cancelling_, now)))
    return fail(reader_.take_failure(), effects);
  if (reader_.is_catching_up() && !caught_up(now, effects)) return;
  more_to_read_ = false;
  for (int n = 0; n < Reader::items_per_slice; ++n) {
    if (failed_ || (paused_ && !cancelling_)) return;
    const Turns::Situation situation{reader_.is_at_end(), cancelling_, now};
    const auto turn = offers_.has_room() ? turns_.next(ledger_, suspects, situation) : std::nullopt;
    if (turn && turn->alone) verdict_.goes_alone(turn->part);
    if (turn && offer_again(turn->part, now, effects)) continue;
    if (!reader_.must_wait().empty() || turns_.others_stand(ledger_, suspects, situation)) return;
    if (may_read()) {
      const bool ended = !read_next(now, effects);
      if (ended && !reader_.is_at_end()) return;
    } else {
      const auto probe = offers_.has_room() ? turns_.next_probe(ledger_, now) : std::nullopt;
      if (!probe || !offer_again(*probe, now, effects)) return;
      turns_.probed(now);
    }
  }
  more_to_read_ = true;
}

bool Supervisor::offer_again(const PartId& part, Time now, Effects& effects) {
  auto item = reader_.read_again(ledger_.at(part).place, now);
  if (item) {
    offer(part, std::move(*item), now, effects);
  } else if (!reader_.must_wait().empty()) {
    ledger_.wait(part, reader_.read_again_at());
    return false;
  } else {
    give_up(ending_of(part), {OutcomeClass::bad_line, "input_changed", item.error().message},
            effects);
  }
  return true;
}

void Supervisor::offer(const PartId& part, std::string item, Time now, Effects& effects) {
  const OpenPart& open = ledger_.at(part);
  auto asked = offers_.plan(part, open, std::move(item));
  if (!asked) return give_up(ending_of(part), std::move(asked.error()), effects);
  ledger_.set_fallback(part, asked->ask.has_fallback);
  const bool by_itself = open.by_itself || open.suspicions > 0;
  if (!offers_.takes(*asked, open, by_itself)) leave(effects);
  if (!offers_.has_room()) return ledger_.wait(part, now); // others of its item took it
  ledger_.set_out(part, offers_.add(std::move(*asked), open));
  if (offers_.is_full(by_itself)) leave(effects);
}

// What has gathered leaves as one call.
void Supervisor::leave(Effects& effects) {
  auto call = offers_.take();
  if (!call) return;
  std::vector<PartId> parts = call->planned.part_ids();
  verdict_.offered(parts.at(0), parts.size() == 1 && ledger_.out_count() == 1);
  book_.open(call->planned.call, std::move(parts));
  effects.offers.push_back(std::move(*call));
}

// Second calls of those that take too long, near the job's end.
void Supervisor::hedge(Time now, Effects& effects) {
  if (now < hedging_.look_at()) return;
  if (!reader_.is_at_end() || failed_ || paused_ || cancelling_ || ledger_.unknown_count() > 0 ||
      verdict_.suspects().is_alone_out(ledger_))
    return hedging_.looked();
  for (const CallId call : hedging_.slow_calls(book_, now)) {
    if (!hedging_.may_begin(counts_.total) || !offers_.has_room()) return;
    offer_second(call, effects);
  }
}

void Supervisor::offer_second(CallId first, Effects& effects) {
  book_.set_hedged(first);
  const Call call = *book_.find(first);
  std::vector<AskedPart> asked;
  for (const PartId& part : call.parts) {
    const OpenPart& open = ledger_.at(part);
    auto item = reader_.read_if_possible(open.place);
    auto ask = item ? offers_.plan(part, open, std::move(*item)) : tl::unexpected{NoCall{}};
    if (!ask) return; // the first call may yet answer it
    asked.push_back(std::move(*ask));
  }
  std::vector<EndpointId> slow_at = ledger_.at(call.parts.at(0)).failed_at;
  slow_at.push_back(call.endpoint);
  OfferedCall second = offers_.second(std::move(asked), std::move(slow_at));
  hedging_.begun();
  book_.open_second(first, second.planned.call);
  effects.offers.push_back(std::move(second));
}

Time Supervisor::wake_at() const {
  if (failed_) return never;
  if (!reader_.must_wait().empty()) return std::min(reader_.read_again_at(), cancel_deadline_);
  if (reader_.is_catching_up()) return Time::min();
  if (paused_ && !cancelling_) return never;
  if (reader_.is_proving() || more_to_read_) return Time::min();
  const Outage& outage = verdict_.outage();
  Time at = std::min(cancel_deadline_, hedging_.look_at());
  if (!probing_ && !cancelling_) at = std::min(at, outage.patience_ends());
  if (outage.told_at() > turns_.looked_at()) at = std::min(at, outage.told_at());
  return offers_.has_room() ? std::min(at, turns_.next_at(ledger_)) : at;
}

// ---- ends --------------------------------------------------------------------------------------

void Supervisor::accept(ReportedOutcome& call, Time now, Random& random, Effects& effects) {
  protocol::Outcome& outcome = call.outcome;
  if (outcome.parts.size() == 1 || outcome.cls != OutcomeClass::ok) openai::judge_body(outcome);
  if (outcome.parts.size() == 1) openai::judge_label(spec_, outcome);
  const std::vector<PartId> heard = heard_of(call, effects);
  const bool is_ok = outcome.cls == OutcomeClass::ok;
  if (outcome.cls == OutcomeClass::cancelled && !cancelling_) {
    // Withdrawn in favour of another call, whose outcome decides; unless that is gone and this was
    // the only one.
    const Call* known = book_.find(outcome.call);
    for (const PartId& part : known == nullptr ? std::vector<PartId>{} : known->parts)
      gone(part, outcome.call, now, effects);
    book_.close(outcome.call);
    return;
  }
  if (heard.empty()) return;
  if (outcome.attempt) effects.append.note.attempts += heard.size();
  effects.append.note.prompt_tokens += outcome.usage.prompt;
  effects.append.note.completion_tokens += outcome.usage.completion;
  for (const PartId& part : heard) {
    PartTally tally = ledger_.at(part).tally;
    tally.tries += bool{outcome.attempt};
    ledger_.set_tally(part, std::move(tally));
  }
  if (info(outcome.cls).shows_it_well() && outcome.http_status != 0)
    heard_answer(call, now, effects);
  if (is_ok) hedging_.answered(std::chrono::microseconds{outcome.latency_us});
  // While another call of the parts flies, the failure of one decides nothing.
  const Call* known = book_.find(outcome.call);
  if (!is_ok && known != nullptr && known->other && !mutated("twin_failure_decides")) {
    for (const PartId& part : known->parts) gone(part, outcome.call, now, effects);
    book_.close(outcome.call);
    return;
  }
  if (!is_ok && ledger_.find(heard.at(0)) != nullptr) meet(outcome, ending_of(heard.at(0)));
  for (const PartId& part : heard) {
    if (ledger_.find(part) == nullptr) continue; // it ended of what it owed
    if (outcome.parts.size() == 1) {
      decide(part, call, outcome, {now, random}, effects);
    } else {
      decide(part, call, reply_to(part, call.outcome), {now, random}, effects);
    }
  }
  book_.close(outcome.call);
}

// Of a call of several parts: what came for this one.
protocol::Reply Supervisor::reply_to(const PartId& part, const protocol::Outcome& outcome) const {
  protocol::Reply reply = outcome;
  if (outcome.cls != OutcomeClass::ok) return reply;
  const auto answer =
      std::find_if(outcome.answers.begin(), outcome.answers.end(), [&](const auto& one) {
        return (one.part == part) != mutated("answer_to_wrong_part");
      });
  reply.cls = answer == outcome.answers.end() ? OutcomeClass::malformed : answer->cls;
  if (answer != outcome.answers.end()) reply.body = answer->body;
  openai::judge_body(reply);
  openai::judge_label(spec_, reply);
  return reply;
}

bool Supervisor::is_answered(const PartId& part, const protocol::Outcome& outcome) const {
  if (outcome.cls != OutcomeClass::ok || outcome.parts.size() == 1)
    return outcome.cls == OutcomeClass::ok;
  return reply_to(part, outcome).cls == OutcomeClass::ok;
}

void Supervisor::decide(const PartId& part, const ReportedOutcome& call,
                        const protocol::Reply& reply, Moment moment, Effects& effects) {
  const CallId id = call.outcome.call;
  const OutcomeClassInfo& about = info(reply.cls);
  Case judged = case_of(part, reply);
  judged.speaks_for_call = part == call.outcome.parts.at(0);
  // The failure may be the one that sent the part to its fallback; nothing says whether it is.
  if (reply.cls != OutcomeClass::ok && judged.tally.on_fallback && of_earlier_life(id)) {
    Judgement again;
    again.what = Judgement::What::again;
    again.not_before = moment.now;
    again.noted = about.consumes_attempt();
    again.elsewhere = about.consumes_attempt() || about.is_endpoints();
    return carry_out(part, call, reply, std::move(again), effects);
  }
  const bool of_several = call.outcome.parts.size() > 1;
  // What was answered, but not for this part, is no failure of the call.
  const bool for_good = about.toll == Toll::item || about.toll == Toll::one_more ||
                        call.outcome.cls == OutcomeClass::ok;
  if (of_several && for_good && about.fault == Fault::item && !cancelling_) {
    const Call* known = book_.find(id);
    if (known != nullptr && known->other) return apart(part, id, moment.now, effects);
    ledger_.set_by_itself(part);
    return wait_again(part, id, moment.now);
  }
  Judgement judgement = verdict_.judge(judged, call, reply, moment.now, moment.random);
  ledger_.set_tally(part, judgement.tally);
  // Also of one that ends: the others that go alone find the endpoint as it left it.
  if (judgement.alone_wait != 0) ledger_.alone_wait_for(judgement.alone_wait);
  if (judgement.what == Judgement::What::is_poison) {
    poison(part, call, moment.now, effects);
  } else if (judgement.what == Judgement::What::falls_back) {
    fall_back(part, id, moment.now, effects);
    stop(std::move(judgement.stop), effects);
  } else {
    // What fails in company again and again may be one of them.
    if (of_several && judgement.tally.consumed > 1) ledger_.set_by_itself(part);
    carry_out(part, call, reply, std::move(judgement), effects);
  }
}

// The parts that it may decide; what comes too late is counted, and paid, all the same.
std::vector<PartId> Supervisor::heard_of(const ReportedOutcome& call, Effects& effects) {
  const protocol::Outcome& outcome = call.outcome;
  std::vector<PartId> heard;
  std::uint64_t late = 0;
  bool known = false;
  const bool is_ok = outcome.cls == OutcomeClass::ok;
  const bool cancelled = outcome.cls == OutcomeClass::cancelled;
  for (const PartId& part : outcome.parts) {
    const OpenPart* open = ledger_.find(part);
    // A part that was never offered cannot have been called: nothing is promised to who says so.
    if (open == nullptr && !ledger_.has_ended(part)) continue;
    known = true;
    // One that is out with this call, or perhaps with it: an unknown one that names it has heard of
    // its failure.
    bool current = false;
    if (open != nullptr) {
      const Call* first = book_.find(open->call());
      current = std::visit(
          [&]<class State>(const State& state) {
            if constexpr (std::is_same_v<State, Unknown>) return state.failed != outcome.call;
            if constexpr (std::is_same_v<State, Ready>) return state.lost == outcome.call;
            if constexpr (std::is_same_v<State, Out>)
              return state.call == outcome.call ||
                     (first != nullptr && first->other == outcome.call);
          },
          open->state);
    }
    if (open == nullptr && is_ok && mutated("first_outcome_does_not_win"))
      effects.append.lines.push_back({job_, part.item, outcome.cls, "{}"});
    else if (current || (open != nullptr && is_answered(part, outcome)))
      heard.push_back(part);
    else if (!cancelled || (open == nullptr && outcome.attempt && hedging_.is_on()))
      ++late;
  }
  if (!known) return {};
  // Without an attempt there was no call: nobody serves it.
  if (outcome.attempt) effects.append.acks.push_back({call.session, outcome.attempt});
  effects.append.note.cost += call.cost;
  effects.append.note.late += late;
  return heard;
}

void Supervisor::heard_answer(const ReportedOutcome& call, Time now, Effects& effects) {
  const std::vector<Debts::Debt> debts = verdict_.heard_answer(call, now);
  probing_ = false;
  // What was on its way when an endpoint failed says nothing of how it is now.
  const Duration took = std::chrono::microseconds{call.outcome.latency_us};
  ledger_.end_of_outage(call.began == Time{} ? now - took : call.began, now);
  for (const Debts::Debt& debt : debts) pay(debt, now, effects);
}

void Supervisor::pay(const Debts::Debt& debt, Time now, Effects& effects) {
  const OpenPart* open = ledger_.find(debt.part);
  if (open == nullptr) return;
  if (debt.kind == Debts::Kind::suspicion ||
      (debt.kind == Debts::Kind::slight_suspicion && open->suspicions < suspicions_portion))
    return ledger_.suspect(debt.part, now);
  if (debt.kind != Debts::Kind::attempt) return;
  PartTally tally = open->tally;
  tally.consumed += mutated("debt_paid_twice") ? 2 : 1;
  ledger_.set_tally(debt.part, tally);
  effects.append.attempts.push_back(note_of(debt.part));
  // One that is out may yet be answered.
  if (verdict_.may_go_on(tally) || !open->is_ready() || !tally.words) return;
  finish(ending_of(debt.part), tally.words->reply(), tally.words->endpoint, effects);
}

Case Supervisor::case_of(const PartId& part, const protocol::Reply& reply) const {
  const OpenPart& open = ledger_.at(part);
  Case judged;
  judged.part = part;
  judged.tally = open.tally;
  judged.lane = open.lane();
  judged.suspected = open.suspicions > 0;
  judged.has_fallback = open.has_fallback;
  judged.cancelling = cancelling_;
  if (reply.cls != OutcomeClass::ok) {
    judged.last = is_last(ledger_, reader_.is_at_end());
    judged.few_left = only_few_are_left(ledger_, reader_.is_at_end());
    judged.described = described(ending_of(part), reply);
  }
  return judged;
}

void Supervisor::carry_out(const PartId& part, const ReportedOutcome& call,
                           const protocol::Reply& reply, Judgement judgement, Effects& effects) {
  const CallId id = call.outcome.call;
  if (judgement.behind_since != never) ledger_.fall_behind(part, judgement.behind_since);
  if (judgement.what == Judgement::What::again && !cancelling_) {
    if (judgement.noted) effects.append.attempts.push_back(note_of(part));
    if (judgement.elsewhere) ledger_.failed_at(part, call.outcome.endpoint);
    wait_again(part, id, judgement.not_before);
    return stop(std::move(judgement.stop), effects);
  }
  withdraw_others(part, id, effects);
  finish(ending_of(part), reply, call.endpoint, effects);
  stop(std::move(judgement.stop), effects);
}

// After a restart a failure may be an old one, whose Recorded got lost: the part waits for the
// claim of whoever has made its next call meanwhile.
void Supervisor::wait_again(const PartId& part, CallId failed, Time not_before) {
  if (grace_ && of_earlier_life(failed))
    ledger_.set_unknown(part, failed);
  else
    ledger_.wait(part, not_before); // if its failure is told again, it has been handled
}

// Of several parts that were refused together each is asked for by itself: it may be the fault of
// one alone.
void Supervisor::apart(const PartId& part, CallId call, Time now, Effects& effects) {
  ledger_.set_by_itself(part);
  gone(part, call, now, effects);
}

void Supervisor::poison(const PartId& part, const ReportedOutcome& call, Time now,
                        Effects& effects) {
  const OpenPart& open = ledger_.at(part);
  protocol::Reply reply;
  reply.model = call.outcome.model;
  reply.cls = OutcomeClass::poison;
  reply.code = info(OutcomeClass::poison).name;
  reply.message = fmt::format(
      "the endpoint failed {} times at this item alone, each time after others were answered: {}",
      open.tally.alone_failures, LastWords::of(call.outcome, call.endpoint).text());
  if (!cancelling_ && open.has_fallback && !open.tally.on_fallback) {
    fall_back(part, call.outcome.call, now, effects);
    verdict_.is_cleared();
    return ledger_.clear(part);
  }
  const Ending ending = ending_of(part);
  meet(reply, ending);
  finish(ending, reply, call.endpoint, effects);
}

// A part that cannot succeed at its model begins anew at the fallback, once.
void Supervisor::fall_back(const PartId& part, CallId call, Time now, Effects& effects) {
  PartTally tally = ledger_.at(part).tally;
  tally.on_fallback = true;
  tally.consumed = 0;
  ledger_.set_tally(part, std::move(tally));
  effects.append.attempts.push_back(note_of(part));
  wait_again(part, call, now);
}

// A call that ended without an answer and without fault of the part.
void Supervisor::gone(const PartId& part, CallId call, Time now, Effects& effects) {
  const Call* known = book_.find(call);
  if (known != nullptr && known->other)
    ledger_.set_out(part, known->other);
  else
    again(part, call, now, effects);
}

void Supervisor::again(const PartId& part, CallId lost, Time now, Effects& effects) {
  if (cancelling_)
    give_up(ending_of(part), was_cancelled, effects);
  else
    ledger_.wait(part, now, lost);
}

// Calls of the part but for this one; of one that carries others, too, the part's answer is late.
void Supervisor::withdraw_others(const PartId& part, CallId but, Effects& effects) {
  const CallId first = ledger_.at(part).call();
  const Call* known = book_.find(first);
  if (!first) return;
  for (const CallId call : {first, known == nullptr ? CallId{} : known->other}) {
    if (!call || call == but) continue;
    const Call* other = book_.find(call);
    const bool carries_others = other != nullptr && other->parts.size() > 1;
    book_.release(call, part);
    if (!carries_others) effects.withdrawn.push_back(call);
  }
}

void Supervisor::finish(const Ending& ending, const protocol::Reply& reply,
                        const std::string& endpoint, Effects& effects) {
  const PartId& part = ending.part;
  openai::Provenance about;
  about.source = reader_.source_of(ending.place);
  about.attempts = ending.tries;
  about.model = reply.model;
  about.endpoint = endpoint;
  about.latency_ms = reply.latency_us / 1'000;
  about.label = openai::label_of(spec_, reply);
  about.item = part.item;
  about.input = reader_.kept_of(ending.place);
  const bool failed = reply.cls != OutcomeClass::ok;
  const bool divided = ledger_.divided(part.item) != nullptr;
  if (divided) about.part = part.part;
  std::string line = openai::result_line(job_, ending.id, reply, about);
  DurableLines& durable = effects.append.durable;
  ++undurable_lines_;
  if (failed && !divided) errors_.ended_item({reply.cls, reply.code, reply.http_status, {}});
  std::string sample = failed ? described(ending, reply) : "";
  ledger_.end(part);
  if (divided && !mutated("part_line_ends_item")) {
    effects.append.parts.push_back({part, reply.cls, std::move(line)});
    ++durable.parts;
    if (ledger_.divided(part.item)->is_whole()) durable.joins.push_back(to_join(part.item));
    return;
  }
  effects.append.lines.push_back({job_, part.item, reply.cls, std::move(line)});
  ++(failed ? durable.failed : durable.completed);
  stop(verdict_.item_ended(reply.cls, reply.code, sample), effects);
}

void Supervisor::give_up(const Ending& ending, NoCall why, Effects& effects) {
  protocol::Reply end;
  end.cls = why.cls;
  end.code = std::move(why.code);
  end.message = std::move(why.message);
  meet(end, ending);
  finish(ending, end, "", effects);
}

Supervisor::Ending Supervisor::ending_of(const PartId& part) const {
  const OpenPart& open = ledger_.at(part);
  return {part, open.place, open.id, open.tally.tries};
}

journal::AttemptNote Supervisor::note_of(const PartId& part) const {
  const PartTally& tally = ledger_.at(part).tally;
  return {part, tally.consumed, tally.deaths, tally.on_fallback ? std::max(tally.tries, 1u) : 0,
          ledger_.divided(part.item) != nullptr};
}

void Supervisor::meet(const protocol::Reply& reply, const Ending& ending) {
  errors_.met({reply.cls, reply.code, reply.http_status, reply.message, ending.id,
               reader_.source_of(ending.place)});
}

std::string Supervisor::described(const Ending& ending, const protocol::Reply& reply) const {
  return fmt::format("{} ({}): {}", json::printable(ending.id, 100),
                     reader_.source_of(ending.place), LastWords::of(reply, "").text());
}

ItemToJoin Supervisor::to_join(std::uint64_t item) const {
  const DividedItem& divided = *ledger_.divided(item);
  return {item, divided.parts, divided.id, reader_.source_of(divided.place),
          reader_.kept_of(divided.place)};
}

void Supervisor::stop(std::optional<StateChange> stop, Effects& effects) {
  if (!stop || paused_ || failed_ || cancelling_) return;
  // The job is at its end: there is nothing left to be saved by a pause.
  if (stop->state == JobState::paused && reader_.is_at_end() && ledger_.live_count() == 0) return;
  (stop->state == JobState::paused ? paused_ : failed_) = true;
  effects.stop = std::move(stop);
}

// Also of a job that is paused or being cancelled: it could never come to its end.
void Supervisor::fail(std::optional<StateChange> failure, Effects& effects) {
  if (!failure || failed_) return;
  failed_ = true;
  effects.stop = std::move(failure);
}

InputPosition Supervisor::low() const {
  const std::uint64_t low = ledger_.low();
  if (low >= reader_.position().item || mutated("low_mark_ahead")) return reader_.position();
  const auto place = ledger_.place_of(job_, low);
  GRISTMILL_CHECK(place, "item {} is neither open nor terminal", low);
  return {place->input, place->offset, place->line == 0 ? 0 : place->line - 1, low};
}

// ---- what somebody asks ------------------------------------------------------------------------

JobCounts Supervisor::counts() const {
  JobCounts counts = counts_;
  counts.retrying = ledger_.retrying_count();
  return counts;
}

WaitReason Supervisor::why_waiting(Time now) const {
  WaitReason reason;
  if (failed_ || cancelling_ || paused_) return reason; // the job's state says it
  const std::size_t open = ledger_.live_count(), waiting = ledger_.waiting_count();
  const Outage& outage = verdict_.outage();
  if (!reader_.must_wait().empty()) {
    reason.kind = WaitKind::reading;
    reason.because = "its input cannot be opened now and is tried again: " + reader_.must_wait();
    reason.until = reader_.read_again_at();
  } else if (reader_.is_proving() || reader_.is_catching_up()) {
    reason.kind = WaitKind::reading;
    reason.because = reader_.is_proving()
                         ? "the whole input is read and checked before the first call (--strict)"
                         : "after a restart the input is read again up to where the job had come";
  } else if (const auto since = outage.since(now)) {
    reason.kind = WaitKind::endpoint;
    reason.endpoint = outage.words().endpoint;
    reason.because = outage.what();
    reason.limit = outage.calls();
    reason.since = *since;
  } else if (undurable_lines_ >= undurable_lines_max) {
    reason.kind = WaitKind::journal;
    reason.limit = undurable_lines_;
  } else if (open > 0 && waiting == open && ledger_.next_due() > now &&
             (reader_.is_at_end() || open >= limits::live_parts_max)) {
    reason.kind = WaitKind::retry;
    reason.limit = waiting;
    reason.until = ledger_.next_due();
  } else if (!reader_.is_at_end() && open >= limits::live_parts_max) {
    reason.kind = WaitKind::open_items;
    reason.limit = open;
  }
  return reason;
}

ItemStanding Supervisor::standing(const ItemQuestion& question, Time now) {
  return standing_of(question, ledger_, reader_, now);
}

double Supervisor::items_left() const {
  return supervisor::items_left(spec_, counts_, reader_.position());
}

} // namespace gristmill::supervisor
