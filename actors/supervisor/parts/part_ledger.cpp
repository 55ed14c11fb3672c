#include "actors/supervisor/parts/part_ledger.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::supervisor {

PartLedger::PartLedger(ItemSet terminal, RecoveredParts recovered)
    : terminal_{std::move(terminal)}, recovered_ended_{std::move(recovered.ended)} {
  for (const journal::AttemptNote& note : recovered.notes) recovered_notes_[note.part] = note;
}

const OpenPart* PartLedger::find(const PartId& part) const {
  const auto it = live_.find(part);
  return it == live_.end() ? nullptr : &it->second;
}

const OpenPart& PartLedger::at(const PartId& part) const {
  const OpenPart* open = find(part);
  GRISTMILL_CHECK(open != nullptr, "part {} of item {} is not open", part.part, part.item);
  return *open;
}

OpenPart& PartLedger::open(const PartId& part) {
  const auto it = live_.find(part);
  GRISTMILL_CHECK(it != live_.end(), "part {} of item {} is not open", part.part, part.item);
  return it->second;
}

const DividedItem* PartLedger::divided(std::uint64_t item) const {
  const auto it = divided_.find(item);
  return it == divided_.end() ? nullptr : &it->second;
}

bool PartLedger::has_ended(const PartId& part) const {
  if (terminal_.contains(part.item)) return true;
  const DividedItem* item = divided(part.item);
  return item != nullptr && item->has_ended(PartNumber::of(part.part));
}

std::optional<intake::ItemPlace> PartLedger::place_of(JobId job, std::uint64_t item) const {
  if (const DividedItem* known = divided(item)) return known->place;
  const OpenPart* part = find({job, item, 0});
  return part == nullptr ? std::nullopt : std::optional{part->place};
}

void PartLedger::set_place(JobId job, std::uint64_t item, const intake::ItemPlace& place) {
  if (const auto divided = divided_.find(item); divided != divided_.end())
    divided->second.place = place;
  else
    open({job, item, 0}).place = place;
}

void PartLedger::count(const OpenPart& part, int by) {
  const auto change = static_cast<std::size_t>(by); // below 0 it wraps, and so does the sum
  states_[part.state.index()] += change;
  if (part.is_ready()) waiting_[static_cast<std::size_t>(part.lane())] += change;
  if (part.suspicions > 0) suspects_ += change;
  if (part.suspicions != suspicions_portion) return;
  in_portions_ += change;
  if (!part.is_ready()) out_in_portions_ += change;
  most_in_portions_ = in_portions_ == 0 ? 0 : std::max(most_in_portions_, in_portions_);
}

// Suspects go before others, which are left to compare them with, and in an order that says nothing
// of the input's, so that the one that is sought is not always the last.
void PartLedger::push(const PartId& id, const OpenPart& part) {
  constexpr std::uint64_t behind_suspects = std::uint64_t{1} << 63;
  const Lane lane = part.lane();
  const bool in_order = lane == Lane::open && part.suspicions == 0;
  const std::uint64_t rank = id.item << 20 | (PartNumber::of(id.part).index & 0xfffff);
  Queues& of_lane = queues(lane);
  if (of_lane.size() <= StreamId::of(id).model) of_lane.resize(StreamId::of(id).model + 1);
  of_lane[StreamId::of(id).model].push(
      {part.not_before(), in_order ? behind_suspects | rank : (rank * 0x9e3779b97f4a7c15u) >> 1,
       id});
}

DividedItem& PartLedger::divide(std::uint64_t item, const intake::ItemPlace& place,
                                const std::string& id, const Division& division) {
  GRISTMILL_CHECK(!terminal_.contains(item) && !divided_.contains(item),
                  "item {} is not to be divided", item);
  const auto known = recovered_ended_.extract(item);
  const auto [it, added] = divided_.emplace(
      item, DividedItem{place, id, division, known ? known.mapped() : journal::EndedParts{}});
  joining_ += it->second.is_over();
  chunks_ += it->second.chunks().size();
  return it->second;
}

void PartLedger::go_on(std::uint64_t item, std::uint32_t model) {
  DividedItem& divided = divided_.at(item);
  divided.go_on(model);
  joining_ += divided.is_over();
}

PartTally PartLedger::take_recovered(const PartId& part) {
  PartTally tally;
  if (const auto taken = recovered_notes_.extract(part)) {
    const journal::AttemptNote& note = taken.mapped();
    tally.consumed = note.attempts;
    tally.deaths = note.deaths;
    tally.on_fallback = note.on_fallback();
    tally.tries = note.on_fallback() ? note.tries : note.attempts;
  }
  return tally;
}

void PartLedger::add(const PartId& part, OpenPart open) {
  GRISTMILL_CHECK(!has_ended(part), "part {} of item {} has ended", part.part, part.item);
  const auto [it, added] = live_.emplace(part, std::move(open));
  GRISTMILL_CHECK(added, "part {} of item {} is open already", part.part, part.item);
  count(it->second, 1);
  if (it->second.lane() == Lane::alone) alone_.insert(part);
  if (it->second.is_ready()) push(part, it->second);
}

void PartLedger::set_state(OpenPart& part, PartState state) {
  count(part, -1);
  part.state = std::move(state);
  count(part, 1);
  if (!part.is_ready()) retrying_ -= std::exchange(part.retrying, false);
}

void PartLedger::set_out(const PartId& part, CallId call) {
  set_out(part, Out{call});
}

void PartLedger::set_prepared(const PartId& part) {
  set_out(part, Out{{}, true});
}

void PartLedger::set_out(const PartId& id, Out out) {
  OpenPart& part = open(id);
  if (part.is_ready()) {
    count(part, -1);
    part.behind_since = never;
    count(part, 1);
  }
  set_state(part, out);
}

void PartLedger::set_unknown(const PartId& part, CallId failed) {
  set_state(open(part), Unknown{failed});
}

// Whose fault it was, its own or others', is seen at the one that it follows.
void PartLedger::set_following(const PartId& part) {
  clear(part);
  set_state(open(part), Following{});
}

void PartLedger::set_request(const PartId& part, const AskedRequest& request) {
  open(part).request = request;
}

void PartLedger::wait(const PartId& id, Time not_before, CallId lost) {
  OpenPart& part = open(id);
  retrying_ -= part.retrying;
  set_state(part, Ready{not_before, lost});
  // One that was only held, or came back unsent, has not been tried.
  part.retrying = part.tally.tries > 0 || part.tally.deaths > 0;
  retrying_ += part.retrying;
  if (part.behind_since != never) behind_.push_back({part.behind_since, id});
  push(id, part);
}

void PartLedger::set_tally(const PartId& part, PartTally tally) {
  open(part).tally = std::move(tally);
}

void PartLedger::set_fallback(const PartId& part, bool there_is_one) {
  open(part).has_fallback = there_is_one;
}

void PartLedger::set_company(const PartId& part, std::uint32_t most) {
  std::uint32_t& company = open(part).company;
  company = std::min(company, std::max(most, 1u));
}

void PartLedger::set_repair(const PartId& part, protocol::Repair repair) {
  forget_repair(part);
  if (repair_bytes_ + repair.bytes() > limits::all_repairs_bytes_max) repair.answer.clear();
  repair_bytes_ += repair.bytes();
  open(part).repair = std::make_shared<const protocol::Repair>(std::move(repair));
}

void PartLedger::forget_repair(const PartId& part) {
  OpenPart& its = open(part);
  if (its.repair == nullptr) return;
  repair_bytes_ -= its.repair->bytes();
  its.repair.reset();
}

void PartLedger::set_read(const PartId& part, const intake::ItemPlace& place, std::string id) {
  OpenPart& read = open(part);
  read.place = place;
  read.id = std::move(id);
}

void PartLedger::failed_at(const PartId& part, EndpointId endpoint) {
  constexpr std::size_t remembered = 4;
  if (!endpoint) return;
  std::vector<EndpointId>& at = open(part).failed_at;
  std::erase(at, endpoint);
  if (at.size() == remembered) at.erase(at.begin());
  at.push_back(endpoint);
}

// It may wait already: a call that was given up may be told of later.
void PartLedger::fall_behind(const PartId& id, Time since) {
  OpenPart& part = open(id);
  count(part, -1);
  part.behind_since = since;
  count(part, 1);
  if (!part.is_ready()) return;
  behind_.push_back({since, id});
  push(id, part);
}

void PartLedger::set_suspicions(const PartId& id, OpenPart& part, std::uint8_t suspicions) {
  count(part, -1);
  part.suspicions = suspicions;
  count(part, 1);
  if (part.lane() == Lane::alone) {
    alone_.insert(id);
  } else {
    alone_.erase(id);
  }
  if (part.is_ready()) push(id, part);
}

void PartLedger::suspect(const PartId& id, Time now) {
  OpenPart& part = open(id);
  if (part.suspicions == suspicions_alone) return;
  if (part.suspicions + 1 == suspicions_alone && part.is_ready()) {
    Time& not_before = std::get<Ready>(part.state).not_before;
    not_before = std::min(not_before, now);
  }
  set_suspicions(id, part, static_cast<std::uint8_t>(part.suspicions + 1));
}

void PartLedger::clear(const PartId& id) {
  OpenPart& part = open(id);
  part.tally.alone_failures = 0;
  if (part.suspicions > 0) set_suspicions(id, part, 0);
}

void PartLedger::alone_wait_for(std::uint64_t answers) {
  for (const PartId& id : alone_) {
    std::uint64_t& after = open(id).tally.alone_after;
    after = std::max(after, answers);
  }
}

void PartLedger::end_of_outage(Time began, Time now) {
  for (; !behind_.empty() && behind_.front().since <= began; behind_.pop_front()) {
    const auto [since, id] = behind_.front();
    const auto it = live_.find(id);
    if (it == live_.end() || !it->second.is_ready() || it->second.behind_since != since) continue;
    OpenPart& part = it->second;
    count(part, -1);
    part.behind_since = never;
    count(part, 1);
    const OutcomeClassInfo& failed =
        info(part.tally.words ? part.tally.words->cls : OutcomeClass::ok);
    const bool alone = part.lane() == Lane::alone;
    // All at the same time, or the one that failed last, who may be the one that is sought, would
    // be among the last.
    if (failed.news == EndpointNews::away || (alone && failed.is_endpoints()))
      std::get<Ready>(part.state).not_before = now;
    push(id, part);
  }
}

void PartLedger::forget_stale(Lane lane, Queue& due) const {
  while (!due.empty()) {
    const OpenPart* part = find(due.top().part);
    if (part != nullptr && part->is_ready() && part->lane() == lane &&
        part->not_before() == due.top().at)
      return;
    due.pop();
  }
}

// The one whose next part goes before those of the other streams.
PartLedger::Queue* PartLedger::next_queue(Lane lane, Time now, Streams streams) const {
  Queue* next = nullptr;
  for (std::size_t stream = 0; stream < queues(lane).size(); ++stream) {
    Queue& queue = queues(lane)[stream];
    forget_stale(lane, queue);
    if (queue.empty() || queue.top().at > now || (streams >> stream & 1) == 0) continue;
    if (next == nullptr || next->top() > queue.top()) next = &queue;
  }
  return next;
}

std::optional<PartId> PartLedger::due(Lane lane, Time now, Streams streams) const {
  if (lane == Lane::behind) return due_behind(now, streams);
  const Queue* next = next_queue(lane, now, streams);
  return next == nullptr ? std::nullopt : std::optional{next->top().part};
}

std::optional<PartId> PartLedger::due_behind(Time now, Streams streams) const {
  constexpr std::size_t looked_at = 16;
  std::vector<Due> due;
  while (due.size() < looked_at) {
    Queue* next = next_queue(Lane::behind, now, streams);
    if (next == nullptr) break;
    due.push_back(next->top());
    next->pop();
  }
  const auto least = std::min_element(due.begin(), due.end(), [&](const Due& a, const Due& b) {
    return live_.at(a.part).tally.losses < live_.at(b.part).tally.losses;
  });
  for (const Due& looked : due) queues(Lane::behind)[StreamId::of(looked.part).model].push(looked);
  return least == due.end() ? std::nullopt : std::optional{least->part};
}

Time PartLedger::next_due(Lane lane) const {
  Time at = never;
  for (Queue& queue : queues(lane)) {
    forget_stale(lane, queue);
    if (!queue.empty()) at = std::min(at, queue.top().at);
  }
  return at;
}

Time PartLedger::next_due() const {
  Time at = never;
  for (std::size_t lane = 0; lane < lane_count; ++lane)
    at = std::min(at, next_due(static_cast<Lane>(lane)));
  return at;
}

// A square root of them: as many portions as parts of one that are then tried alone.
bool PartLedger::portion_has_room() const {
  return out_in_portions_ * out_in_portions_ < most_in_portions_;
}

void PartLedger::end(const PartId& part, bool failed, std::uint32_t size) {
  GRISTMILL_CHECK(!has_ended(part), "part {} of item {} ended twice", part.part, part.item);
  if (const auto it = live_.find(part); it != live_.end()) {
    forget_repair(part);
    count(it->second, -1);
    retrying_ -= it->second.retrying;
    alone_.erase(part);
    live_.erase(it);
  }
  const auto divided = divided_.find(part.item);
  if (divided == divided_.end()) {
    terminal_.insert(part.item);
    return;
  }
  const PartNumber number = PartNumber::of(part.part);
  divided->second.branch_of(number)->end(number.index, failed, size);
}

void PartLedger::end_item(std::uint64_t item) {
  const auto it = divided_.find(item);
  GRISTMILL_CHECK(it != divided_.end() && it->second.is_over(), "item {} has open parts", item);
  --joining_;
  chunks_ -= it->second.chunks().size();
  divided_.erase(it);
  terminal_.insert(item);
}

void PartLedger::invariant() const {
  GRISTMILL_CHECK(states_[0] + states_[1] + states_[2] + states_[3] == live_.size(),
                  "{} parts wait, {} are out, {} unknown, {} follow, of {}", states_[0], states_[1],
                  states_[2], states_[3], live_.size());
  GRISTMILL_CHECK(waiting_[0] + waiting_[1] + waiting_[2] + waiting_[3] == states_[0],
                  "the lanes do not hold the {} that wait", states_[0]);
  GRISTMILL_CHECK(joining_ <= divided_.size(), "{} of {} items are over", joining_,
                  divided_.size());
}

} // namespace gristmill::supervisor
