#include "actors/supervisor/supervisor.hpp"

#include "actors/kit/mutant.hpp"
#include "actors/supervisor/verdict/part_reply.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/chunk/reduce.hpp"
#include "protocol/openai/reply/answer_text.hpp"
#include "protocol/openai/request/repair.hpp"
#include "protocol/openai/request/step.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <memory>
#include <utility>

namespace gristmill::supervisor {
namespace {

// Calls beyond one for each item that is done: each of them may have been a second one.
std::uint64_t second_calls(const JobCounts& counts) {
  const std::uint64_t calls = counts.attempts + counts.late;
  return calls - std::min(calls, counts.terminal());
}

JobCounts counts_of(const RecoveredItems& recovered) {
  JobCounts counts = recovered.counts;
  counts.total = std::max(counts.total, recovered.low.item);
  return counts;
}

ItemName item_name(const OpenPart& open, const Reader& reader) {
  return {open.id, reader.source_of(open.place)};
}

// Without what of its input is kept, which has no bound that a step should read again.
ItemToJoin to_look_at(std::uint64_t number, const DividedItem& item, const Reader& reader) {
  return {
      number, static_cast<std::uint32_t>(item.ended()), item.id, reader.source_of(item.place), {}};
}

ItemToJoin to_join(std::uint64_t number, const DividedItem& item, const Reader& reader) {
  ItemToJoin join = to_look_at(number, item, reader);
  join.input = reader.kept_of(item.place);
  return join;
}

// What the step is to see: all parts, or those of the level below that it joins.
ItemToJoin to_prepare(const PartId& step, const DividedItem& item, const Reader& reader) {
  ItemToJoin join = to_look_at(step.item, item, reader);
  join.step = step.part;
  const PartNumber number = PartNumber::of(step.part);
  // Its own line may be there by then, if it is given up meanwhile.
  if (number.is_judge()) join.last = step.part;
  if (number.is_judge() || mutated("step_sees_all")) return join;
  const auto [first, last] = item.branch_of(number)->joins(number.index);
  join.parts = last - first;
  join.first = PartNumber{number.model, number.level - 1, first}.value();
  join.last = PartNumber{number.model, number.level - 1, last}.value();
  return join;
}

std::optional<openai::ChunkOfText> chunk_of(const PartId& part, const DividedItem* item) {
  const PartNumber number = PartNumber::of(part.part);
  if (item == nullptr || item->chunks().empty() || number.level > 0) return std::nullopt;
  return openai::ChunkOfText{item->chunks().at(number.index), number.index + 1,
                             static_cast<std::uint32_t>(item->chunks().size())};
}

bool is_step(const PartId& part) {
  return PartNumber::of(part.part).level > 0;
}

// Of lines with the answers of others that are not durable yet.
constexpr std::uint64_t undurable_cached_bytes_max = 32u << 20;
constexpr std::size_t alike_per_slice = 256;

const NoCall was_cancelled{OutcomeClass::cancelled, "cancelled", "the job was cancelled"};

} // namespace

Supervisor::Supervisor(SupervisedJob job, intake::ByteSource& source, RecoveredItems recovered,
                       const PartPlan* plan)
    : job_{job.id}, spec_{std::move(job.spec)}, own_plan_{spec_}, plan_{plan == nullptr ? own_plan_
                                                                                        : *plan},
      by_reference_{job.by_reference}, tokenizer_{std::move(job.tokenizer)},
      offers_{job_,
              spec_,
              job.pools,
              plan_,
              CallId{std::max(CallId::of(job.epoch, job_, 1).value, recovered.next_call)},
              tokenizer_.get()},
      reader_{spec_, source, recovered.low, recovered.mark}, parts_{job_, job.epoch,
                                                                    std::move(recovered.terminal),
                                                                    std::move(recovered.parts)},
      verdict_{spec_}, hedging_{spec_.policy.hedge_percent, second_calls(recovered.counts)},
      recorder_{job_, spec_, counts_of(recovered), recovered.errors}, same_{spec_.policy.dedupe},
      waited_{recovered.outage}, begun_{recovered.mark > 0 || recovered.counts.terminal() > 0 ||
                                        recovered.low.item > 0},
      calls_at_once_{recovered.may_have_called ? recovered.calls_at_once : 0} {}

// ---- events ------------------------------------------------------------------------------------

Effects Supervisor::started(Time now) {
  if (waited_) verdict_.outage_goes_on(*waited_, now);
  reader_.look_ahead(begun_, now, [this](intake::Item item) { expect(item); });
  course_.fail(reader_.take_failure());
  effects_.progress = true;
  return sealed();
}

Effects Supervisor::wanted(std::uint32_t stream, std::uint32_t calls, std::uint64_t bytes,
                           Time now) {
  offers_.may_make(stream, calls, bytes);
  hedging_.look_soon(now);
  return tick(now);
}

Effects Supervisor::tick(Time now) {
  if (course_.ends_all(now)) end_all(true);
  if (!course_.is_probing()) stop(verdict_.outage().over(now));
  return filled(now);
}

Effects Supervisor::outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random) {
  for (ReportedOutcome& call : outcomes) accept(call, now, random);
  hedging_.look_soon(now);
  return filled(now);
}

Effects Supervisor::returned(const std::vector<LostCall>& calls, Time now) {
  for (const LostCall& lost : calls) {
    const Call* call = parts_.find(lost.call);
    if (call == nullptr) continue;
    const bool no_endpoint_takes_it = !lost.exceeds.empty() && !call->other;
    if (no_endpoint_takes_it && !course_.is_cancelling()) exceeds(*call, lost, now);
    if (lost.by_parts) parts_.divide(*call);
    end_if_cancelled(parts_.gone(lost.call, now));
  }
  return filled(now);
}

Effects Supervisor::lost(const std::vector<LostCall>& calls, Time now) {
  for (const LostCall& lost : calls) {
    const OpenParts::Loss loss = parts_.lost(lost, now);
    if (lost.permitted) recorder_.ambiguous(loss.parts.size());
    if (loss.died)
      for (const PartId& part : loss.parts) recorder_.note(parts_.note_of(part));
    if (loss.quarantined)
      give_up(*loss.quarantined, {OutcomeClass::bad_line, "quarantined",
                                  fmt::format("{} workers died while they made this call",
                                              parts_.at(*loss.quarantined).tally.deaths)});
    end_if_cancelled(loss.waiting);
  }
  return filled(now);
}

Effects Supervisor::claimed(const std::vector<protocol::Claim>& claims, Time now) {
  for (const protocol::Claim& claim : claims) {
    if (mutated("claim_ignored")) continue;
    for (const PartId& part : claim.parts) open_named(part, now);
    withdraw(parts_.claimed(claim, now));
    are_called(claim);
  }
  return filled(now);
}

Effects Supervisor::kept(const std::vector<protocol::Claim>& claims, Time now) {
  for (const protocol::Claim& claim : claims) {
    for (const PartId& part : claim.parts) open_named(part, now);
    parts_.kept(claim);
    are_called(claim);
  }
  return filled(now);
}

// Others that ask the same wait for them.
void Supervisor::are_called(const protocol::Claim& claim) {
  for (const PartId& part : claim.parts)
    if (const OpenPart* open = parts_.find(part);
        open && open->request && open->call() == claim.call)
      same_.is_called(part, open->request.key);
}

Effects Supervisor::begun(const std::vector<BegunCall>& calls, Time now) {
  for (const BegunCall& call : calls) parts_.begun(call, now);
  hedging_.look_soon(now);
  return filled(now);
}

Effects Supervisor::pack_sizes(const std::vector<PackSize>& sizes, Time now) {
  offers_.packing().told(sizes);
  return filled(now);
}

// The parts that nobody claims are those below the mark, which runs far ahead of the calls: no more
// of them were being called than the workers that say nothing could have in flight.
Effects Supervisor::grace_over(Time now, std::uint64_t untold) {
  const OpenParts::Unclaimed unclaimed = parts_.grace_over(now);
  recorder_.ambiguous(std::min({unclaimed.unheard, untold, calls_at_once_}));
  end_if_cancelled(unclaimed.parts);
  return filled(now);
}

Effects Supervisor::durable(const DurableLines& lines, Time now) {
  recorder_.durable(lines);
  for (const EndedLevel& level : lines.levels) goes_on(level, now);
  for (const AskedRequest& request : lines.answered) look_up_followers(request);
  effects_.progress = true;
  return filled(now);
}

Effects Supervisor::joined(std::vector<JoinedItem> items, const std::string& failure, Time now) {
  if (!failure.empty()) course_.fail(StateChange{JobState::failed, JobReason::internal, failure});
  for (JoinedItem& item : items) {
    if (item.step) {
      take_step({job_, item.item, *item.step}, item.line, now);
      continue;
    }
    const DividedItem* divided = parts_.ledger().divided(item.item);
    if (divided == nullptr) continue; // told twice
    const ItemName name{divided->id, reader_.source_of(divided->place)};
    const std::string sample =
        item.cls == OutcomeClass::ok
            ? ""
            : fmt::format("{} ({}): {}", json::printable(name.id, 100), name.source,
                          json::printable(item.message, LastWords::message_bytes_max));
    parts_.end_item(item.item);
    stop(verdict_.item_ended(item.cls, item.code, sample));
    recorder_.joined(std::move(item), name);
  }
  return filled(now);
}

Effects Supervisor::looked_up(LookedUpAnswers answers, Time now) {
  same_.looked_up(std::move(answers.rest));
  for (LookedUp& looked : answers.found) {
    const PartId& part = looked.asked.part;
    if (!parts_.is_prepared(part)) continue; // it has ended meanwhile, or somebody claims its call
    if (looked.answer) {
      protocol::Reply reply;
      reply.cls = OutcomeClass::ok;
      reply.http_status = static_cast<std::uint16_t>(looked.answer->http_status);
      reply.request_id = std::move(looked.answer->request_id);
      reply.model = std::move(looked.answer->model);
      reply.body = std::move(looked.answer->body);
      finish(part, reply, looked.answer->endpoint, Origin::equal_request);
    } else if (!same_.leads(part, looked.asked.request.key)) {
      parts_.follow(part);
    } else if (course_.goes_on() && !looked.asked.raw.empty()) {
      offer(part, {looked.asked.kind, std::move(looked.asked.raw)}, now);
    } else {
      parts_.wait(part, now);
    }
  }
  return filled(now);
}

Effects Supervisor::cancel(Time now) {
  if (course_.cancel(now)) {
    for (const PartId& part : parts_.drop_waiting()) give_up(part, was_cancelled);
    end_all(false);
    reader_.cut();
  }
  return filled(now);
}

// What is out comes back by itself: COORDINATOR returns what no worker has begun.
Effects Supervisor::pause(Time now) {
  course_.pause();
  return tick(now);
}

Effects Supervisor::resume(Time now, bool probing) {
  course_.resume(probing);
  verdict_.resumed(probing);
  hedging_.look_soon(now);
  return tick(now);
}

Effects Supervisor::input_grew(Time now) {
  if (!mutated("growth_is_not_heard")) reader_.fed();
  return tick(now);
}

Effects Supervisor::charged(Usd cost) {
  recorder_.charged(cost);
  effects_.progress = true;
  return std::exchange(effects_, {});
}

// Last step of nearly every event: what has changed may let another call begin.
Effects Supervisor::filled(Time now) {
  end_alike();
  offers_.packing().look_at(parts_.calls(), now);
  parts_.open_more(now);
  offer_next(now);
  leave();
  hedge(now);
  return sealed();
}

// Offers find their order, the append carries where reading would go on, and the end is seen.
Effects Supervisor::sealed() {
  leave();
  effects_.offers = by_prefix(std::move(effects_.offers));
  if (recorder_.undurable_cached_bytes() < undurable_cached_bytes_max)
    effects_.look_ups = same_.take_look_ups();
  effects_.append =
      recorder_.take(recorder_.has_news() ? parts_.low(reader_.position()) : InputPosition{});
  const JobCounts& counts = recorder_.counts();
  if (!said_all_) course_.fail(reader_.lacks(std::max(counts.terminal(), counts.total)));
  if (reader_.is_at_end() && !said_all_ && !course_.has_failed() &&
      counts.terminal() == counts.total)
    said_all_ = effects_.all_terminal = true;
  effects_.stop = course_.take_stop();
  parts_.invariant();
  if (in_simulator) parts_.walk();
  return std::exchange(effects_, {});
}

// ---- reading -----------------------------------------------------------------------------------

// The parts of it that are to be opened. All of them may have ended in an earlier life, which did
// not come to join them.
Parts Supervisor::divide(const intake::Item& item) {
  Parts parts = parts_.divide(item, plan_.division_of(job_, item, tokenizer_.get()), most_open());
  drop_if_cancelled(item.ordinal);
  const DividedItem* divided = parts_.ledger().divided(item.ordinal);
  if (divided != nullptr && divided->is_over())
    effects_.joins.push_back(to_join(item.ordinal, *divided, reader_));
  return parts;
}

// Of each model of an item, at a time. Where too many are open already, others are opened later; of
// a job that is being cancelled no more than say so (drop_if_cancelled).
std::uint32_t Supervisor::most_open() const {
  return parts_.has_room() && !course_.is_cancelling() ? ~0u : 0;
}

void Supervisor::drop_if_cancelled(std::uint64_t item) {
  if (!course_.is_cancelling()) return;
  for (const PartId& part : parts_.drop_waiting(item)) give_up(part, was_cancelled);
}

// All parts of the level have ended and are durable.
void Supervisor::goes_on(const EndedLevel& level, Time now) {
  const DividedItem* divided = parts_.ledger().divided(level.item);
  if (divided == nullptr) return;
  const Parts opened = parts_.go_on(level.item, level.model, most_open(), now);
  drop_if_cancelled(level.item);
  if (opened.empty() && divided->is_over())
    effects_.joins.push_back(to_join(level.item, *divided, reader_));
}

// An item that a worker may be calling.
void Supervisor::expect(const intake::Item& item) {
  if (parts_.ledger().is_terminal(item.ordinal)) return;
  for (const PartId& part : divide(item)) {
    const bool on_fallback = parts_.open(part, item, Unknown{}).tally.on_fallback;
    parts_.set_fallback(part, offers_.has_fallback(part, item.place.kind, item.raw, on_fallback));
    if (same_.is_on()) expect_key(part, item);
  }
}

// Its call may yet be claimed, so others that ask the same wait for it.
void Supervisor::expect_key(const PartId& part, const intake::Item& item) {
  if (is_step(part)) return;
  const auto raw = plan_.raw_of(part, item.place.kind, parts_.ledger().divided(part.item),
                                [&] { return item.raw; });
  const AskedRequest request = raw ? offers_.request_of(part, *raw) : AskedRequest{};
  if (!request) return;
  parts_.set_request(part, request);
  same_.expect(part, request.key);
}

// Somebody names a part of a document that waits to be opened: an earlier life has opened it.
void Supervisor::open_named(const PartId& part, Time now) {
  if (!parts_.open_named(part, now)) return;
  const OpenPart& open = parts_.at(part);
  parts_.set_fallback(part,
                      offers_.has_fallback(part, open.place.kind, "{}", open.tally.on_fallback));
}

// Items below the mark are read up to it before the first call.
bool Supervisor::caught_up(Time now) {
  if (reader_.catch_up(now))
    for (int n = 0; n < Reader::items_per_slice; ++n)
      if (!reader_.is_catching_up() || !read_next(now)) break;
  course_.fail(reader_.take_failure());
  return !course_.has_failed() && !reader_.is_catching_up();
}

bool Supervisor::may_read() const {
  if (reader_.is_at_end() || reader_.starved_since()) return false;
  if (recorder_.undurable_lines() >= undurable_lines_max) return false;
  if (course_.is_cancelling()) return true;
  // Room for the judge's calls is none for those of an item that nobody has answered.
  const Streams first = (Streams{1} << plan_.models_of(job_)) - 1;
  const bool has_room = (offers_.streams_with_room() & first) != 0;
  const PartLedger& ledger = parts_.ledger();
  return has_room && same_.has_room() &&
         ledger.live_count() + ledger.joining_count() < limits::live_parts_max &&
         ledger.chunk_count() < known_chunks_max;
}

bool Supervisor::read_next(Time now) {
  const auto read = reader_.next(now);
  if (!read) {
    course_.fail(reader_.take_failure());
    return false;
  }
  recorder_.has_read(reader_.position());
  if (read->at_end) {
    recorder_.has_read_all();
    effects_.progress = true;
    return false;
  }
  return !read->item || take_up(*read->item, now);
}

// False: the job stops at it.
bool Supervisor::take_up(const intake::Item& item, Time now) {
  const PartLedger& ledger = parts_.ledger();
  if (ledger.is_terminal(item.ordinal)) return true;
  const bool known = ledger.place_of(job_, item.ordinal).has_value(); // looked at ahead
  if (!item.bad.empty()) {
    if (!known && spec_.policy.strict && !course_.is_cancelling()) {
      stop(reader_.bad_line(item.place, item.bad));
      return false;
    }
    end_bad(item);
    return true;
  }
  if (known) { // but not what of the records before it counts: some ids may have been repeated
    parts_.set_place(item);
    return true;
  }
  for (const PartId& part : divide(item)) {
    parts_.open(part, item, Out{});
    if (course_.is_cancelling())
      give_up(part, was_cancelled);
    else if (ledger.suspects() > 0 || is_step(part) || !offers_.has_room(part)) // one of the last?
      parts_.wait(part, now);
    else if (auto raw = plan_.raw_of(part, item.place.kind, ledger.divided(part.item),
                                     [&] { return item.raw; }))
      offer(part, std::move(*raw), now);
  }
  return true;
}

// A line that can become no call. One that a worker may be calling is out, and ends as it will.
void Supervisor::end_bad(const intake::Item& item) {
  const NoCall why{OutcomeClass::bad_line, "invalid_line",
                   fmt::format("{}: {}", reader_.source_of(item.place), item.bad)};
  const DividedItem* divided = parts_.ledger().divided(item.ordinal);
  const std::vector<std::uint32_t> parts =
      divided == nullptr ? std::vector<std::uint32_t>{0} : divided->opened();
  for (const PartId& part : parts_.drop_waiting(item.ordinal))
    give_up(part, course_.is_cancelling() ? was_cancelled : why);
  for (const std::uint32_t number : parts) {
    const PartId part{job_, item.ordinal, number};
    const OpenPart* open = parts_.find(part);
    if (parts_.ledger().has_ended(part) || (open != nullptr && open->call())) continue;
    if (open == nullptr)
      parts_.open(part, item, Out{});
    else
      parts_.set_read(part, item);
    give_up(part, course_.is_cancelling() ? was_cancelled : why);
  }
}

// ---- offering ----------------------------------------------------------------------------------

void Supervisor::offer_next(Time now) {
  turns_.look(now);
  const PartLedger& ledger = parts_.ledger();
  const Suspects& suspects = verdict_.suspects();
  if (!reader_.may_try(now) || course_.has_failed()) return;
  if (reader_.is_proving() && (!course_.goes_on() || !reader_.prove(course_.is_cancelling(), now)))
    return course_.fail(reader_.take_failure());
  if (reader_.is_catching_up() && !caught_up(now)) return;
  more_to_read_ = false;
  // Calls that gather are filled all the same.
  const auto goes_on = [&](std::uint32_t n) {
    return n < Reader::items_per_slice ||
           (n < Reader::items_per_slice + limits::pack_inputs_max && offers_.is_gathering());
  };
  for (std::uint32_t n = 0; goes_on(n); ++n) {
    if (!course_.goes_on()) return;
    const Turns::Situation situation{reader_.is_at_end(), course_.is_cancelling(), now,
                                     offers_.streams_with_room()};
    const bool may_turn = offers_.has_room() && same_.has_room(); // it may have to be looked up
    const auto turn = may_turn ? turns_.next(ledger, suspects, situation) : std::nullopt;
    if (turn && turn->alone) verdict_.goes_alone(turn->part);
    if (turn && offer_again(turn->part, now)) continue;
    if (!reader_.must_wait().empty() || turns_.others_stand(ledger, suspects, situation)) return;
    if (may_read()) {
      const bool read = read_next(now);
      if (!read && !reader_.is_at_end() && !reader_.starved_since()) return;
    } else {
      const auto probe =
          offers_.has_room() ? turns_.next_probe(ledger, now, situation.room) : std::nullopt;
      if (!probe || !offer_again(*probe, now)) return;
      turns_.probed(now);
    }
  }
  more_to_read_ = effects_.progress = true; // perhaps of many records that are left out
}

bool Supervisor::offer_again(const PartId& part, Time now) {
  if (is_step(part)) {
    prepare_step(part);
    return true;
  }
  const intake::ItemPlace place = parts_.at(part).place;
  auto raw = plan_.raw_of(part, place.kind, parts_.ledger().divided(part.item),
                          [&] { return reader_.read_again(place, now); });
  if (raw) {
    offer(part, std::move(*raw), now);
  } else if (!reader_.must_wait().empty()) {
    parts_.wait(part, reader_.read_again_at());
    return false;
  } else {
    give_up(part, {OutcomeClass::bad_line, "input_changed", raw.error().message});
  }
  return true;
}

// What it is to see of the others is made by JOINER.
void Supervisor::prepare_step(const PartId& part) {
  offers_.keep_room(part);
  parts_.prepare(part);
  effects_.joins.push_back(to_prepare(part, *parts_.ledger().divided(part.item), reader_));
}

void Supervisor::take_step(const PartId& part, std::string_view answers, Time now) {
  if (!mutated("step_keeps_room")) offers_.give_back_room(part);
  if (!parts_.is_prepared(part)) return; // it has ended meanwhile, or somebody claims its call
  if (!course_.goes_on()) return parts_.wait(part, now);
  const intake::ItemPlace place = parts_.at(part).place;
  const auto read = [&] { return reader_.read_again(place, now); };
  const bool judges = PartNumber::of(part.part).is_judge();
  const auto item = judges ? read() : plan_.fields_of(part, place.kind, read);
  if (item)
    offer(part,
          {ItemKind::json_object,
           judges ? openai::step_item(spec_, place.kind, *item, answers)
                  : openai::reduce_item(spec_, ItemKind::json_object, *item, answers)},
          now);
  else if (!reader_.must_wait().empty())
    parts_.wait(part, reader_.read_again_at());
  else
    give_up(part, {OutcomeClass::bad_line, "input_changed", item.error().message});
}

// Then it need not be called now, and what becomes of it will be seen.
bool Supervisor::is_asked_already(const PartId& part, RawPart& raw) {
  if (!same_.is_on()) return false;
  if (!parts_.at(part).request) parts_.set_request(part, offers_.request_of(part, raw));
  const AskedRequest request = parts_.at(part).request;
  if (!request) return false;
  switch (same_.comes(part, request.key)) {
  case SameRequests::Role::leads: return false;
  case SameRequests::Role::follows: parts_.follow(part); return true;
  case SameRequests::Role::looks_up: break;
  }
  parts_.prepare(part);
  same_.look_up({part, request, raw.kind, std::move(raw.raw)});
  return true;
}

void Supervisor::offer(const PartId& part, RawPart raw, Time now) {
  if (is_asked_already(part, raw)) return;
  const OpenPart& open = parts_.at(part);
  if (!offers_.has_room(part)) return parts_.wait(part, now); // its model has none
  auto asked = offers_.plan(part, open, std::move(raw));
  if (!asked) return give_up(part, std::move(asked.error()));
  if (by_reference_) asked->part.range = reader_.range_of(open.place, asked->part.raw);
  parts_.set_fallback(part, asked->ask.has_fallback);
  if (!offers_.takes(*asked, open)) leave();
  if (!offers_.has_room(part)) return parts_.wait(part, now); // others of its item took it
  parts_.set_out(part, offers_.add(std::move(*asked), open));
  leave(Offers::Which::full);
}

// What has gathered leaves.
void Supervisor::leave(Offers::Which which) {
  while (auto call = offers_.take(which)) {
    Parts parts = call->planned.part_ids();
    verdict_.offered(parts.at(0), parts.size() == 1 && parts_.ledger().out_count() == 1);
    parts_.open_call(call->planned.call, std::move(parts));
    effects_.offers.push_back(std::move(*call));
  }
}

// Second calls of those that take too long, near the job's end.
void Supervisor::hedge(Time now) {
  if (now < hedging_.look_at()) return;
  const PartLedger& ledger = parts_.ledger();
  if (!reader_.is_at_end() || !course_.makes_calls() || ledger.unknown_count() > 0 ||
      verdict_.suspects().is_alone_out(ledger))
    return hedging_.looked();
  for (const CallId first : hedging_.slow_calls(parts_.calls(), now)) {
    if (!hedging_.may_begin(recorder_.counts().total)) return;
    if (!offers_.has_room(parts_.find(first)->parts.at(0))) continue;
    parts_.set_hedged(first);
    auto second = offers_.second(*parts_.find(first), ledger, reader_);
    if (!second) continue; // the first call may yet answer it
    hedging_.begun();
    parts_.open_second(first, second->planned.call);
    effects_.offers.push_back(std::move(*second));
  }
}

Time Supervisor::wake_at() const {
  if (course_.has_failed()) return never;
  const Time cancel_ends = course_.cancel_ends();
  if (!reader_.must_wait().empty()) return std::min(reader_.read_again_at(), cancel_ends);
  if (reader_.is_catching_up() && !reader_.starved_since()) return Time::min();
  if (!course_.goes_on()) return never;
  if (reader_.is_proving() || more_to_read_ || same_.has_ends()) return Time::min();
  const Outage& outage = verdict_.outage();
  Time at = std::min(cancel_ends, hedging_.look_at());
  if (!course_.is_probing() && !course_.is_cancelling()) at = std::min(at, outage.patience_ends());
  if (outage.told_at() > turns_.looked_at()) at = std::min(at, outage.told_at());
  at = std::min(at, offers_.packing().holds_until());
  return offers_.has_room() ? std::min(at, turns_.next_at(parts_.ledger())) : at;
}

// ---- outcomes ----------------------------------------------------------------------------------

void Supervisor::accept(ReportedOutcome& call, Time now, Random& random) {
  protocol::Outcome& outcome = call.outcome;
  if (!by_reference_) outcome.stored = {};
  judge_outcome(outcome, spec_);
  const Parts heard = heard_of(call, now);
  // Withdrawn in favour of another call, whose outcome decides; unless that is gone and this was
  // the only one.
  if (outcome.cls == OutcomeClass::cancelled && !course_.is_cancelling())
    return end_if_cancelled(parts_.gone(outcome.call, now));
  if (heard.empty()) return;
  recorder_.decides(outcome, heard.size());
  if (outcome.attempt)
    for (const PartId& part : heard) parts_.tried(part);
  if (info(outcome.cls).shows_it_well() && outcome.http_status != 0) heard_answer(call, now);
  const bool is_ok = outcome.cls == OutcomeClass::ok;
  if (is_ok) hedging_.answered(std::chrono::microseconds{outcome.latency_us});
  for (const protocol::Answer& answer : outcome.answers)
    offers_.packing().heard(call.model.value_or(""), answer.body.size());
  // While another call of the parts flies, the failure of one decides nothing.
  const Call* known = parts_.find(outcome.call);
  if (!is_ok && known != nullptr && known->other && !mutated("second_failure_decides"))
    return end_if_cancelled(parts_.gone(outcome.call, now));
  if (const OpenPart* first = parts_.find(heard.at(0)); !is_ok && first != nullptr)
    recorder_.met(outcome, item_name(*first, reader_));
  for (const PartId& part : heard) {
    if (parts_.find(part) == nullptr) continue; // it ended of what it owed
    if (outcome.parts.size() == 1)
      decide(part, call, outcome, now, random);
    else
      decide(part, call, reply_to(part, outcome, spec_), now, random);
  }
  parts_.close(outcome.call);
}

// The parts that it may decide; what comes too late is counted, and paid, all the same.
Parts Supervisor::heard_of(const ReportedOutcome& call, Time now) {
  const protocol::Outcome& outcome = call.outcome;
  const bool cancelled = outcome.cls == OutcomeClass::cancelled;
  Parts heard;
  std::uint64_t late = 0;
  bool known = false;
  for (const PartId& part : outcome.parts) {
    open_named(part, now);
    const bool open = parts_.find(part) != nullptr;
    // A part that was never offered cannot have been called: nothing is promised to who says so.
    if (!open && !parts_.ledger().has_ended(part)) continue;
    known = true;
    if (open && (parts_.hears(part, outcome.call) || is_answered(part, outcome, spec_)))
      heard.push_back(part);
    else if (!cancelled || (!open && outcome.attempt && hedging_.is_on()))
      ++late;
  }
  if (known) recorder_.came(call, late);
  return heard;
}

void Supervisor::heard_answer(const ReportedOutcome& call, Time now) {
  const std::vector<Debts::Debt> debts = verdict_.heard_answer(call, now);
  course_.answered();
  // What was on its way when an endpoint failed says nothing of how it is now.
  const Duration took = std::chrono::microseconds{call.outcome.latency_us};
  parts_.end_of_outage(call.began == Time{} ? now - took : call.began, now);
  for (const Debts::Debt& debt : debts) {
    if (!parts_.pay(debt, now)) continue;
    recorder_.note(parts_.note_of(debt.part));
    const OpenPart& open = parts_.at(debt.part);
    // One that is out may yet be answered.
    if (verdict_.may_go_on(open.tally) || !open.is_ready() || !open.tally.words) continue;
    const std::shared_ptr<const LastWords> words = open.tally.words;
    finish(debt.part, words->reply(), words->endpoint);
  }
}

void Supervisor::decide(const PartId& part, const ReportedOutcome& call,
                        const protocol::Reply& reply, Time now, Random& random) {
  const CallId id = call.outcome.call;
  Case judged = case_of(part, reply);
  judged.speaks_for_call = part == call.outcome.parts.at(0);
  const bool of_earlier_life = parts_.of_earlier_life(id);
  judged.before_fallback =
      of_earlier_life || id < std::max(first_call_, judged.tally.fallback_from);
  Judgement judgement = verdict_.judge(judged, call, reply, now, random);
  parts_.judged(part, judgement);
  using enum Judgement::What;
  if (judgement.what == apart) {
    parts_.apart(part, id, now);
  } else if (judgement.what == falls_back) {
    fall_back(part, id, now);
    if (judgement.cleared) {
      verdict_.is_cleared();
      parts_.clear(part);
    }
  } else if (judgement.what == again && !course_.is_cancelling()) {
    if (judgement.noted) recorder_.note(parts_.note_of(part));
    if (judgement.repairs)
      parts_.set_repair(part, openai::repair_of(reply));
    else if (judgement.elsewhere)
      parts_.failed_at(part, call.outcome.endpoint);
    parts_.again(part, id, judgement.not_before);
  } else if (judgement.what == is_poison) {
    const protocol::Reply poison = poison_reply(call, judgement.tally.alone_failures);
    recorder_.met(poison, item_name(parts_.at(part), reader_));
    finish(part, poison, call.endpoint);
  } else {
    withdraw(parts_.withdraw_others(part, id));
    finish(part, reply, call.endpoint, of_earlier_life ? Origin::earlier_life : Origin::own_call);
  }
  stop(std::move(judgement.stop));
}

Case Supervisor::case_of(const PartId& part, const protocol::Reply& reply) const {
  const OpenPart& open = parts_.at(part);
  const PartLedger& ledger = parts_.ledger();
  Case judged;
  judged.part = part;
  judged.tally = open.tally;
  judged.lane = open.lane();
  judged.suspected = open.suspicions > 0;
  judged.has_fallback = open.has_fallback;
  judged.cancelling = course_.is_cancelling();
  if (reply.cls != OutcomeClass::ok) {
    judged.last = is_last(ledger, reader_.is_at_end());
    judged.few_left = only_few_are_left(ledger, reader_.is_at_end());
    judged.described = described(item_name(open, reader_), reply);
  }
  return judged;
}

// ---- ends --------------------------------------------------------------------------------------

// They have come back, and wait.
void Supervisor::end_if_cancelled(const Parts& parts) {
  if (!course_.is_cancelling()) return;
  for (const PartId& part : parts) give_up(part, was_cancelled);
}

// No endpoint takes such a call, but others may take its parts.
void Supervisor::exceeds(const Call& call, const LostCall& lost, Time now) {
  if (call.parts.size() > 1) return parts_.divide(call);
  const PartId part = call.parts.at(0);
  const OpenPart& open = parts_.at(part);
  if (open.has_fallback && !open.tally.on_fallback && may_fall_back(OutcomeClass::too_long))
    fall_back(part, lost.call, now);
  else
    give_up(part, {OutcomeClass::too_long, "exceeds_limit", lost.exceeds, true});
}

void Supervisor::end_all(bool out_too) {
  const OpenParts::Withdrawn withdrawn = parts_.withdraw_all(out_too);
  withdraw(withdrawn.calls);
  for (const PartId& part : withdrawn.parts) give_up(part, was_cancelled);
}

void Supervisor::fall_back(const PartId& part, CallId call, Time now) {
  parts_.fall_back(part, offers_.next_call());
  recorder_.note(parts_.note_of(part));
  parts_.again(part, call, now);
}

void Supervisor::give_up(const PartId& part, NoCall why) {
  protocol::Reply end;
  end.cls = why.cls;
  end.code = std::move(why.code);
  end.message = std::move(why.message);
  recorder_.met(end, item_name(parts_.at(part), reader_));
  if (!why.is_requests && !mutated("leader_ends_all")) hand_over(part);
  finish(part, end, "");
}

// It ends for a reason that says nothing of its request.
void Supervisor::hand_over(const PartId& part) {
  const RequestKey key = parts_.at(part).request.key;
  if (!key || !same_.is_led_by(part, key)) return;
  const auto next = same_.next_leader(key, [this](const PartId& other) {
    const OpenPart* open = parts_.find(other);
    return open != nullptr && open->follows();
  });
  if (next && !mutated("nobody_leads_on")) parts_.wait(*next, Time{});
}

// Of an answer that is not durable yet they hear by durable().
void Supervisor::followers_go_on(const PartId& part, const protocol::Reply& reply,
                                 const std::string& endpoint, bool cached) {
  const AskedRequest request = parts_.at(part).request;
  if (!request || !same_.is_led_by(part, request.key)) return;
  if (reply.cls == OutcomeClass::ok) {
    if (cached || mutated("follower_hears_too_early")) look_up_followers(request);
    return;
  }
  if (info(reply.cls).fault != Fault::item) return hand_over(part);
  SameRequests::LeadersEnd end{reply, endpoint};
  end.reply.latency_us = 0;
  same_.end_alike(request.key, std::move(end));
}

void Supervisor::look_up_followers(const AskedRequest& request) {
  for (const PartId& part : same_.take_followers(request.key)) {
    const OpenPart* open = parts_.find(part);
    if (open == nullptr || !open->follows()) continue;
    parts_.prepare(part);
    same_.look_up({part, request});
  }
}

// A few at a time: there may be as many as parts are open.
void Supervisor::end_alike() {
  for (std::size_t n = 0; n < alike_per_slice && same_.has_ends(); ++n) {
    const auto [part, as] = same_.take_end();
    const OpenPart* open = parts_.find(part);
    if (open == nullptr || !open->follows()) continue;
    recorder_.met(as->reply, item_name(*open, reader_));
    finish(part, as->reply, as->endpoint, Origin::equal_request);
  }
}

void Supervisor::finish(const PartId& part, const protocol::Reply& reply,
                        const std::string& endpoint, Origin origin) {
  const OpenPart& open = parts_.at(part);
  const bool cached = origin == Origin::equal_request;
  followers_go_on(part, reply, endpoint, cached);
  const DividedItem* divided = parts_.ledger().divided(part.item);
  // An earlier life may have gone on to the fallback without our knowing of it.
  const bool in_doubt = origin == Origin::earlier_life && open.has_fallback;
  const bool on_fallback = (open.tally.on_fallback || in_doubt) && !mutated("fallback_answer_kept");
  const Ending ending{part,
                      item_name(open, reader_),
                      divided == nullptr ? reader_.kept_of(open.place) : "",
                      open.tally.tries,
                      divided != nullptr,
                      chunk_of(part, divided),
                      divided == nullptr && plan_.is_chunked(job_, open.place.kind) ? 1u : 0u,
                      open.tally.repaired && reply.cls == OutcomeClass::ok,
                      {open.request.key, open.request.for_others && !on_fallback},
                      on_fallback,
                      cached,
                      cached && reply.cls == OutcomeClass::ok ? offers_.saved(part, reply)
                                                              : Saved{}};
  const bool failed = reply.cls != OutcomeClass::ok;
  const PartNumber number = PartNumber::of(part.part);
  const bool is_joined = divided != nullptr && divided->reduces() && !number.is_judge();
  const std::uint32_t size =
      is_joined && !failed
          ? openai::answer_size(openai::without_thoughts(openai::answer_text(reply.body)),
                                tokenizer_.get())
          : 0;
  parts_.end(part, failed, size);
  if (divided != nullptr && !mutated("part_line_ends_item")) {
    recorder_.part_ended(ending, reply, endpoint, size);
    if (divided->branch_of(number)->is_level_over())
      recorder_.level_ended({part.item, number.model});
    return;
  }
  recorder_.item_ended(ending, reply, endpoint);
  stop(verdict_.item_ended(reply.cls, reply.code, failed ? described(ending.item, reply) : ""));
}

void Supervisor::withdraw(const Calls& calls) {
  effects_.withdrawn.insert(effects_.withdrawn.end(), calls.begin(), calls.end());
}

void Supervisor::stop(std::optional<StateChange> stop) {
  const bool nothing_left = reader_.is_at_end() && parts_.ledger().live_count() == 0;
  course_.stop(std::move(stop), nothing_left);
}

// ---- what somebody asks ------------------------------------------------------------------------

JobCounts Supervisor::counts() const {
  JobCounts counts = recorder_.counts();
  counts.retrying = parts_.ledger().retrying_count();
  return counts;
}

WaitReason Supervisor::why_waiting(Time now) const {
  if (!course_.makes_calls()) return {}; // the job's state says it
  return why_no_call(parts_.ledger(), reader_, verdict_.outage(), recorder_.undurable_lines(), now);
}

ItemStanding Supervisor::standing(const ItemQuestion& question, Time now) {
  return standing_of(question, parts_.ledger(), reader_, now);
}

double Supervisor::items_left() const {
  return supervisor::items_left(spec_, recorder_.counts(), reader_.position());
}

} // namespace gristmill::supervisor
