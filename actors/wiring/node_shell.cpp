#include "actors/wiring/node_shell.hpp"

#include "actors/wiring/rooms.hpp"

namespace gristmill::wiring {
namespace {

// Behind all that the room has appended.
void say_last(Post& post, Message news) {
  AppendNow after_all;
  after_all.release.push_back({to_coordinator, std::move(news)});
  post.tell(to_journal, std::move(after_all));
}

} // namespace

bool opens_room(const Message& message) {
  return std::holds_alternative<OpenJob>(message) ||
         std::holds_alternative<merger::MergeTask>(message);
}

Post play(Room& room, const Address& address, Message message, const Moment& moment) {
  Post post;
  try {
    room.handle(std::move(message), moment, post);
  } catch (const std::exception& e) {
    return ended_by(address, e.what());
  }
  if (post.closed) say_last(post, RoomClosed{address});
  return post;
}

Post ended_by(const Address& address, const std::string& what) {
  Post post;
  post.closed = true;
  post.events.push_back({"room.crashed", {{"what", what}}, true});
  if (address.job)
    say_last(post, RoomCrashed{address, what});
  else
    post.fatal = Error{ErrorCode::internal, name_of(address) + " crashed: " + what};
  return post;
}

} // namespace gristmill::wiring
