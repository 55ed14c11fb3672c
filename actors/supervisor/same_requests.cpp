#include "actors/supervisor/same_requests.hpp"

#include "actors/kit/mutant.hpp"

#include <utility>

namespace gristmill::supervisor {

SameRequests::Role SameRequests::comes(const PartId& part, const RequestKey& key) {
  Flight& flight = flights_.try_emplace(key, Flight{part}).first->second;
  if (flight.leader == part) return flight.looked_up ? Role::leads : Role::looks_up;
  if (mutated("followers_are_called")) return Role::leads;
  flight.followers.push_back(part);
  return Role::follows;
}

bool SameRequests::leads(const PartId& part, const RequestKey& key) {
  Flight& flight = flights_.try_emplace(key, Flight{part}).first->second;
  const bool leads = flight.leader == part;
  flight.looked_up |= leads;
  if (!leads) flight.followers.push_back(part);
  return leads;
}

void SameRequests::expect(const PartId& part, const RequestKey& key) {
  flights_.try_emplace(key, Flight{part});
}

// Who led without a call comes again, and follows.
void SameRequests::is_called(const PartId& part, const RequestKey& key) {
  Flight& flight = flights_.try_emplace(key, Flight{part}).first->second;
  flight.leader = part;
  flight.looked_up = true;
}

std::vector<PartId> SameRequests::take_followers(const RequestKey& key) {
  const auto ended = flights_.extract(key);
  if (!ended) return {};
  const std::deque<PartId>& followers = ended.mapped().followers;
  return {followers.begin(), followers.end()};
}

bool SameRequests::is_led_by(const PartId& part, const RequestKey& key) const {
  const auto flight = flights_.find(key);
  return flight != flights_.end() && flight->second.leader == part;
}

std::optional<PartId> SameRequests::next_leader(const RequestKey& key,
                                                const std::function<bool(const PartId&)>& follows) {
  const auto flight = flights_.find(key);
  if (flight == flights_.end()) return std::nullopt;
  std::deque<PartId>& followers = flight->second.followers;
  while (!followers.empty()) {
    flight->second.leader = followers.front();
    flight->second.looked_up = false;
    followers.pop_front();
    if (follows(flight->second.leader)) return flight->second.leader;
  }
  flights_.erase(flight);
  return std::nullopt;
}

void SameRequests::end_alike(const RequestKey& key, LeadersEnd as) {
  const auto shared = std::make_shared<const LeadersEnd>(std::move(as));
  for (const PartId& part : take_followers(key)) ends_.push_back({part, shared});
}

SameRequests::AlikeEnd SameRequests::take_end() {
  AlikeEnd end = std::move(ends_.front());
  ends_.pop_front();
  return end;
}

void SameRequests::look_up(LookUp asked) {
  queued_bytes_ += asked.raw.size();
  queued_.push_back(std::move(asked));
}

std::vector<LookUp> SameRequests::take_look_ups() {
  if (looking_ == batches_max || queued_.empty()) return {};
  ++looking_;
  std::vector<LookUp> batch;
  for (; !queued_.empty() && batch.size() < queued_max; queued_.pop_front()) {
    queued_bytes_ -= queued_.front().raw.size();
    batch.push_back(std::move(queued_.front()));
  }
  return batch;
}

void SameRequests::looked_up(std::vector<LookUp> rest) {
  looking_ -= looking_ > 0; // it may be of a room before ours
  for (auto asked = rest.rbegin(); asked != rest.rend(); ++asked) {
    queued_bytes_ += asked->raw.size();
    queued_.push_front(std::move(*asked));
  }
}

} // namespace gristmill::supervisor
