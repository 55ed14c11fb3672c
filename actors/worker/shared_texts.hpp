// SHARED TEXTS: what a worker knows of the directory that it may share with its coordinator, in the
// present session: whether the two have proved it to each other, and which outcomes have their
// bodies there. Invariant: an outcome keeps its body until it is recorded, so that it can be told
// by value at any time.
#pragma once

#include "actors/worker/shared_store.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/rules/by_reference.hpp"

#include <string>
#include <unordered_map>
#include <utility>

namespace gristmill::worker {

class SharedTexts {
public:
  // Another session begins: what the last one stored is told by value.
  void begin(SessionId session, bool may_prove) {
    *this = {};
    session_ = session;
    state_ = may_prove ? State::proving : State::none;
  }
  bool is_of(SessionId session) const { return session == session_; }
  void agreed() {
    if (state_ == State::proving) state_ = State::agreed;
  }
  // True: it was of use until now.
  bool give_up() { return std::exchange(state_, State::none) != State::none; }

  // Whether the body is to be stored before the outcome leaves.
  bool stores(const protocol::Outcome& outcome) const {
    return state_ == State::agreed && outcome.cls == OutcomeClass::ok &&
           outcome.parts.size() == 1 && !outcome.model.empty() &&
           outcome.body.size() >= limits::by_reference_bytes_min;
  }
  void storing(AttemptId attempt, std::string label) {
    storing_.emplace(attempt, std::move(label));
  }
  // False: nobody waits for it.
  bool stored(AttemptId attempt, protocol::StoredBody place) {
    const auto waiting = storing_.extract(attempt);
    if (waiting.empty()) return false;
    place.label = std::move(waiting.mapped());
    if (place && state_ == State::agreed) stored_.emplace(attempt, std::move(place));
    return true;
  }
  void recorded(AttemptId attempt) {
    storing_.erase(attempt);
    stored_.erase(attempt);
  }
  // As it is told: what stands beside its body, what it has in common with the one before it in the
  // message, and what nearly all have in common is left out.
  protocol::Outcome told(const protocol::Outcome& outcome, std::string& last_model) const {
    protocol::Outcome told = outcome;
    const auto place = stored_.find(outcome.attempt);
    if (place != stored_.end()) {
      told.stored = place->second;
      told.body.clear();
      told.request_id.clear();
      if (told.http_status == stored_status) told.http_status = 0;
      if (told.model == last_model) told.model.clear();
    }
    last_model = outcome.model;
    return told;
  }
  std::size_t size() const { return storing_.size() + stored_.size(); }

private:
  enum class State : std::uint8_t { none, proving, agreed };

  SessionId session_;
  State state_ = State::none;
  std::unordered_map<AttemptId, std::string> storing_; // … and the label of each
  std::unordered_map<AttemptId, protocol::StoredBody> stored_;
};

} // namespace gristmill::worker
