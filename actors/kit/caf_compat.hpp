// The one header through which CAF is reached. One source tree for CAF 0.17.6 (Debian 12) and 1.x:
// every difference between the two that we use lives here.
#pragma once

#include <caf/all.hpp>
#include <caf/init_global_meta_objects.hpp> // an empty shim in 0.17.6

#include <optional>
#include <utility>

// CAF_VERSION cannot be trusted for this (1.1.0 defines it in octal), hence the header test.
#if __has_include(<caf/actor_from_state.hpp>)
#define GRISTMILL_CAF_1 1
#else
#define GRISTMILL_CAF_1 0
#endif

// A message type that never leaves the process: copyable, never serialized.
#define GRISTMILL_CAF_LOCAL_TYPE(block, type)                                                      \
  CAF_ADD_TYPE_ID(block, (type))                                                                   \
  CAF_ALLOW_UNSAFE_MESSAGE_TYPE(type)

namespace gristmill::caf_compat {

using Self = caf::event_based_actor;

template <class Block> void init() {
#if GRISTMILL_CAF_1
  caf::init_global_meta_objects<Block>();
  caf::core::init_global_meta_objects();
#endif
}

// The sharing policy: work stealing burns about one percent of a core when idle.
inline void use_scheduler(caf::actor_system_config& config, std::size_t threads) {
#if GRISTMILL_CAF_1
  config.set("caf.scheduler.max-threads", threads).set("caf.scheduler.policy", "sharing");
#else
  config.set("scheduler.max-threads", threads).set("scheduler.policy", caf::atom("sharing"));
#endif
}

template <class Handle, class Message> void post(const Handle& to, Message&& message) {
#if GRISTMILL_CAF_1
  caf::anon_mail(std::forward<Message>(message)).send(to);
#else
  caf::anon_send(to, std::forward<Message>(message));
#endif
}

// Cannot be cancelled on 0.17: the message carries a generation, and stale ones are ignored.
template <class Handle, class Duration, class Message>
void post_after(Duration delay, const Handle& to, Message&& message) {
#if GRISTMILL_CAF_1
  caf::anon_mail(std::forward<Message>(message)).delay(delay).send(to);
#else
  caf::delayed_anon_send(to, delay, std::forward<Message>(message));
#endif
}

// State: constructible from (Self*, args…), with make_behavior() and `static constexpr name`.
#if !GRISTMILL_CAF_1
template <class State> struct Box {
  std::optional<State> state;
  const char* name = State::name;
};
#endif
template <class State, class... Args> caf::actor spawn(caf::actor_system& system, Args&&... args) {
#if GRISTMILL_CAF_1
  return system.spawn(caf::actor_from_state<State>, std::forward<Args>(args)...);
#else
  return system.spawn(
      [](caf::stateful_actor<Box<State>>* self, std::decay_t<Args>... xs) -> caf::behavior {
        return self->state.state.emplace(self, std::move(xs)...).make_behavior();
      },
      std::forward<Args>(args)...);
#endif
}

} // namespace gristmill::caf_compat
