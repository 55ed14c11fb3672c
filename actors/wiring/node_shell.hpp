// NODE SHELL: which room a message reaches, and what becomes of what a room leaves behind. The host
// and the simulator play their rooms through this, so that neither can be right where the other is
// wrong.
// Invariant: a room that ends has lost its address before its last words leave, and they are in the
// journal before anybody hears that it has ended; so nothing of it comes after that.
#pragma once

#include "actors/wiring/message.hpp"

#include <map>
#include <optional>
#include <utility>

namespace gristmill::wiring {

// A job's room begins with a message that opens it; any other that finds no room goes nowhere.
bool opens_room(const Message& message);

// One message at a room. A room that throws has ended, too.
Post play(Room& room, const Address& address, Message message, const Moment& moment);
// What is left of a room that threw.
Post ended_by(const Address& address, const std::string& what);

// The rooms that messages reach now, by address: a message belongs to the room that has its address
// when it is posted, whenever that room comes to handle it. `Ref`: how to post to a room.
template <class Ref> class RoomBook {
public:
  std::optional<Ref> find(const Address& address) const {
    const auto it = rooms_.find(address);
    return it == rooms_.end() ? std::nullopt : std::optional{it->second};
  }
  void open(const Address& address, Ref room) { rooms_[address] = std::move(room); }
  void forget(const Address& address) { rooms_.erase(address); }
  // Nobody is reached any more.
  std::map<Address, Ref> close() { return std::exchange(rooms_, {}); }

private:
  std::map<Address, Ref> rooms_;
};

// `Outside` has log, forget, fatal, send, commit, read_job, find_answers, keep_answers,
// check_shared, answer, and post for what goes to rooms.
template <class Outside> void carry_out(const Address& from, Post post, Outside&& outside) {
  for (const Event& event : post.events) outside.log(from, event);
  if (post.closed) outside.forget(from);
  if (post.fatal) outside.fatal(std::move(*post.fatal));
  for (Envelope& envelope : post.envelopes) {
    switch (envelope.to.recipient) {
    case Recipient::gateway: outside.send(std::move(std::get<SendFrames>(envelope.message))); break;
    case Recipient::store:
      if (auto* group = std::get_if<journal::Group>(&envelope.message))
        outside.commit(std::move(*group));
      if (const auto* read = std::get_if<ReadJob>(&envelope.message)) outside.read_job(read->job);
      break;
    case Recipient::cache:
      if (auto* find = std::get_if<FindAnswers>(&envelope.message))
        outside.find_answers(std::move(*find));
      if (auto* keep = std::get_if<KeepAnswers>(&envelope.message))
        outside.keep_answers(std::move(keep->answers));
      break;
    case Recipient::shared:
      outside.check_shared(std::move(std::get<CheckShared>(envelope.message).check));
      break;
    case Recipient::client: outside.answer(std::move(std::get<Answer>(envelope.message))); break;
    default: outside.post(std::move(envelope));
    }
  }
}

} // namespace gristmill::wiring
