#include "coordinator/http/server/places.hpp"

namespace gristmill::coordinator {

bool HttpPlaces::may_come(std::string_view address) const {
  if (address.empty() || options_.per_address_max == 0) return true;
  const auto known = addresses_.find(address);
  return known == addresses_.end() || known->second < options_.per_address_max;
}

std::optional<HttpPlaces::Id> HttpPlaces::came(Id id, std::string address, Time now) {
  if (!address.empty()) ++addresses_[address];
  Connection& newcomer = connections_[id];
  newcomer.address = std::move(address);
  newcomer.since = now;
  if (size() <= options_.connections_max + options_.reserved) return std::nullopt;
  Id longest = id;
  Time since = Time::max();
  for (const auto& [other, connection] : connections_) {
    if (other == id || connection.leaves || connection.state != State::head ||
        connection.since >= since)
      continue;
    longest = other;
    since = connection.since;
  }
  leave(connections_[longest]);
  return longest;
}

bool HttpPlaces::has_head(Id id, bool is_always_answered, Time now) {
  const auto known = connections_.find(id);
  if (known == connections_.end()) return false;
  Connection& connection = known->second;
  connection.state = State::body;
  connection.since = now;
  connection.bytes = 0;
  connection.reserved = is_always_answered || under_way_ >= options_.connections_max;
  if (connection.reserved) return is_always_answered;
  ++under_way_;
  return true;
}

void HttpPlaces::brought(Id id, std::uint64_t body_bytes, Time now) {
  const auto known = connections_.find(id);
  if (known == connections_.end()) return;
  Connection& connection = known->second;
  connection.bytes += body_bytes;
  if (connection.bytes < options_.body_bytes_min) return;
  connection.bytes = 0;
  connection.since = now;
}

void HttpPlaces::not_wanted(Id id, Time now) {
  const auto known = connections_.find(id);
  if (known == connections_.end()) return;
  Connection& connection = known->second;
  if (!connection.reserved) --under_way_;
  connection.reserved = true;
  connection.state = State::head;
  connection.since = now;
  connection.more = options_.idle;
}

void HttpPlaces::waits_for_us(Id id) {
  if (const auto known = connections_.find(id); known != connections_.end())
    known->second.state = State::ours;
}

void HttpPlaces::goes_on(Id id, Time now) {
  const auto known = connections_.find(id);
  if (known == connections_.end() || known->second.state != State::ours) return;
  known->second.state = State::body;
  known->second.since = now;
  known->second.bytes = 0;
}

void HttpPlaces::answered(Id id, Time now) {
  const auto known = connections_.find(id);
  if (known == connections_.end()) return;
  Connection& connection = known->second;
  if (connection.state != State::head && !connection.reserved) --under_way_;
  connection.state = State::head;
  connection.since = now;
  connection.more = options_.idle;
}

void HttpPlaces::left(Id id) {
  const auto gone = connections_.find(id);
  if (gone == connections_.end()) return;
  const Connection& connection = gone->second;
  if (connection.state != State::head && !connection.reserved) --under_way_;
  if (connection.leaves) --leaving_;
  if (const auto known = addresses_.find(connection.address);
      known != addresses_.end() && --known->second == 0)
    addresses_.erase(known);
  connections_.erase(gone);
}

void HttpPlaces::leave(Connection& connection) {
  connection.leaves = true;
  ++leaving_;
}

std::vector<HttpPlaces::Overdue> HttpPlaces::overdue(Time now) {
  std::vector<Overdue> all;
  for (auto& [id, connection] : connections_) {
    if (connection.leaves || connection.state == State::ours) continue;
    const bool in_body = connection.state == State::body;
    const Duration may = in_body ? Duration{options_.body} : options_.head + connection.more;
    if (now < connection.since + may) continue;
    all.push_back({id, in_body || connection.more == Duration{}});
    leave(connection);
  }
  return all;
}

std::vector<HttpPlaces::Id> HttpPlaces::in_body() const {
  std::vector<Id> all;
  for (const auto& [id, connection] : connections_)
    if (connection.state == State::body) all.push_back(id);
  return all;
}

} // namespace gristmill::coordinator
