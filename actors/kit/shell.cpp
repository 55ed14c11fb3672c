#include "actors/kit/shell.hpp"

#include "actors/kit/caf_compat.hpp"
#include "actors/kit/clock.hpp"

#include <exception>

namespace gristmill {

struct Mail {
  std::shared_ptr<void> body; // empty: an alarm, or the order to leave
  std::uint64_t alarm = 0;    // generation; 0 = not an alarm
};
using SharedPlayer = std::shared_ptr<Player>; // CAF wants its arguments copyable

} // namespace gristmill

CAF_BEGIN_TYPE_ID_BLOCK(gristmill, caf::first_custom_type_id)
GRISTMILL_CAF_LOCAL_TYPE(gristmill, gristmill::Mail)
CAF_END_TYPE_ID_BLOCK(gristmill)

namespace gristmill {
namespace {

struct ShellState {
  static constexpr const char* name = "room";

  ShellState(caf_compat::Self* s, SharedPlayer p) : self{s}, player{std::move(p)} {}

  caf::behavior make_behavior() {
    return {[this](Mail& mail) { on(mail); }};
  }

  void on(Mail& mail) {
    if (!mail.body && mail.alarm == 0) return self->quit();
    if (mail.alarm != 0) {
      if (mail.alarm != alarm) return;
      armed = never;
      if (boot_now() < wake_at) return arm();
    }
    try {
      // Moved out: a stale copy in the mailbox would keep the message's memory.
      const Player::Next next = player->handle(std::move(mail.body));
      if (next.closed) return self->quit();
      wake_at = next.wake_at;
      arm();
    } catch (const std::exception& e) {
      player->crashed(e.what());
      self->quit();
    }
  }

  // An alarm costs a thread's wake-up, and most messages put off the one that is set: that one is
  // left to ring, and then set anew.
  void arm() {
    if (armed <= wake_at) return;
    armed = wake_at;
    ++alarm;
    const Time now = boot_now();
    const caf::actor me{self};
    if (armed <= now) {
      caf_compat::post(me, Mail{nullptr, alarm});
    } else {
      caf_compat::post_after(armed - now, me, Mail{nullptr, alarm});
    }
  }

  caf_compat::Self* self;
  SharedPlayer player;
  Time wake_at = never, armed = never; // wanted, and set
  std::uint64_t alarm = 0;             // of those that are set the one that counts
};

caf::actor_system_config& configured(caf::actor_system_config& config, std::size_t threads) {
  caf_compat::init<caf::id_block::gristmill>();
  caf_compat::use_scheduler(config, threads);
  return config;
}

} // namespace

class Stage::Actor {
public:
  explicit Actor(caf::actor a) : handle{std::move(a)} {}
  caf::actor handle;
};

struct Stage::System {
  explicit System(std::size_t threads) : actors{configured(config, threads)} {}
  caf::actor_system_config config;
  caf::actor_system actors;
};

Stage::Stage(std::size_t threads) : system_{std::make_unique<System>(threads)} {}
Stage::~Stage() = default;

Stage::ActorRef Stage::spawn(std::unique_ptr<Player> player) {
  return std::make_shared<const Actor>(
      caf_compat::spawn<ShellState>(system_->actors, SharedPlayer{std::move(player)}));
}

void Stage::post(const ActorRef& to, std::shared_ptr<void> message) {
  caf_compat::post(to->handle, Mail{std::move(message), 0});
}

void Stage::leave(const ActorRef& actor) {
  caf_compat::post(actor->handle, Mail{});
  caf::scoped_actor waiting{system_->actors};
  waiting->wait_for(actor->handle);
}

} // namespace gristmill
