// The generic actor shell. A STAGE is the actor system of a process; each room plays on it as one
// CAF actor that does nothing but hand messages to its player, one at a time, and keep its alarm.
// Invariant: a shell orders, holds and drops nothing; a player is only ever on one thread.
#pragma once

#include "actors/kit/time.hpp"

#include <memory>
#include <string>

namespace gristmill {

// A room as its shell sees it.
class Player {
public:
  virtual ~Player() = default;
  struct Next {
    Time wake_at = never; // an alarm then; what was asked for before is forgotten
    bool closed = false;  // nothing more will be handled
  };
  // `message` empty: the alarm.
  virtual Next handle(std::shared_ptr<void> message) = 0;
  virtual void crashed(const std::string& what) = 0; // handle() threw; it is not called again
};

class Stage {
public:
  class Actor; // a handle; may outlive its player, posts then go nowhere
  using ActorRef = std::shared_ptr<const Actor>;

  explicit Stage(std::size_t threads);
  ~Stage(); // every player must have been told to leave

  ActorRef spawn(std::unique_ptr<Player> player);
  static void post(const ActorRef& to, std::shared_ptr<void> message); // any thread
  // After what was posted before; returns when the player is gone. Not from within a player.
  void leave(const ActorRef& actor);

private:
  struct System;
  std::unique_ptr<System> system_;
};

} // namespace gristmill
