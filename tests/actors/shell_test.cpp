// The generic shell with real actors: order, alarms, ends. Nothing here waits for a time to pass;
// what must not have happened is asked for after something that comes later by construction.
#include "actors/kit/clock.hpp"
#include "actors/kit/shell.hpp"

#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <functional>
#include <future>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace gristmill;

namespace {

constexpr auto generous = std::chrono::seconds{60};
constexpr auto far_away = std::chrono::hours{1};

// What a script does with a message; nullptr stands for the alarm.
using Script = std::function<Player::Next(const int* message)>;

class ScriptedPlayer final : public Player {
public:
  explicit ScriptedPlayer(Script script, std::function<void(std::string)> crashed = {},
                          std::function<void()> gone = {})
      : script_{std::move(script)}, crashed_{std::move(crashed)}, gone_{std::move(gone)} {}
  ~ScriptedPlayer() override {
    if (gone_) gone_();
  }
  Next handle(std::shared_ptr<void> message) override {
    return script_(static_cast<const int*>(message.get()));
  }
  void crashed(const std::string& what) override {
    if (crashed_) crashed_(what);
  }

private:
  Script script_;
  std::function<void(std::string)> crashed_;
  std::function<void()> gone_;
};

Stage::ActorRef play(Stage& stage, Script script) {
  return stage.spawn(std::make_unique<ScriptedPlayer>(std::move(script)));
}

void tell(const Stage::ActorRef& to, int number) {
  Stage::post(to, std::make_shared<int>(number));
}

// Something that happens once, on any thread.
class Once {
public:
  void happen() { promise_.set_value(); }
  void wait() { future_.wait(); }
  void require() { REQUIRE(future_.wait_for(generous) == std::future_status::ready); }

private:
  std::promise<void> promise_;
  std::future<void> future_ = promise_.get_future();
};

} // namespace

TEST_CASE("Messages of one sender keep their order", "[shell]") {
  Stage stage{2};
  std::vector<int> heard;
  const auto player = play(stage, [&](const int* message) {
    heard.push_back(*message);
    return Player::Next{};
  });
  for (int i = 0; i < 10'000; ++i) tell(player, i);
  stage.leave(player);
  REQUIRE(heard.size() == 10'000);
  for (int i = 0; i < 10'000; ++i) REQUIRE(heard[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("A hundred thousand messages pass through four players, in order for each sender",
          "[shell]") {
  constexpr int senders = 4, each = 6'250; // four players handle each message once
  Stage stage{4};
  std::array<std::vector<int>, senders> heard;
  std::atomic<int> handled = 0;
  std::vector<Stage::ActorRef> players;
  players.push_back(play(stage, [&](const int* message) {
    ++handled;
    heard[static_cast<std::size_t>(*message % senders)].push_back(*message / senders);
    return Player::Next{};
  }));
  for (int n = 1; n < 4; ++n) {
    players.push_back(play(stage, [&handled, next = players.back()](const int* message) {
      ++handled;
      tell(next, *message);
      return Player::Next{};
    }));
  }
  std::vector<std::thread> threads;
  for (int s = 0; s < senders; ++s)
    threads.emplace_back([&, s] {
      for (int i = 0; i < each; ++i) tell(players.back(), i * senders + s);
    });
  for (std::thread& thread : threads) thread.join();
  for (auto player = players.rbegin(); player != players.rend(); ++player) stage.leave(*player);

  CHECK(handled == 4 * senders * each);
  for (const auto& numbers : heard) {
    REQUIRE(numbers.size() == each);
    for (int i = 0; i < each; ++i) REQUIRE(numbers[static_cast<std::size_t>(i)] == i);
  }
}

TEST_CASE("An alarm in the past rings at once, one in the future not before its time", "[shell]") {
  Stage stage{2};
  Once rang_past, rang_future;
  Time asked_for{}, rang_at{};
  const auto past = play(stage, [&](const int* message) {
    if (message != nullptr) return Player::Next{boot_now() - far_away};
    rang_past.happen();
    return Player::Next{};
  });
  const auto future = play(stage, [&](const int* message) {
    if (message != nullptr)
      return Player::Next{asked_for = boot_now() + std::chrono::milliseconds{30}};
    rang_at = boot_now();
    rang_future.happen();
    return Player::Next{};
  });
  tell(past, 1);
  tell(future, 1);
  rang_past.require();
  rang_future.require();
  CHECK(rang_at >= asked_for);
  stage.leave(past);
  stage.leave(future);
}

TEST_CASE("A newer alarm replaces the older one, whichever would ring first", "[shell]") {
  Stage stage{2};
  // A later alarm, or none, instead of a soon one; and a soon one instead of a late one.
  for (const Time newer : {never, boot_now() + far_away}) {
    int alarms = 0;
    // The second message is there before the first one's alarm is set, or it might ring between.
    Once both_sent;
    const auto player = play(stage, [&](const int* message) {
      if (message == nullptr) ++alarms;
      if (message != nullptr && *message == 1) both_sent.wait();
      const bool first = message != nullptr && *message == 1;
      return Player::Next{first ? boot_now() + std::chrono::milliseconds{10} : newer};
    });
    tell(player, 1);
    tell(player, 2);
    both_sent.happen();
    Once rang_later; // than the alarm that was replaced would have
    const auto sentinel = play(stage, [&](const int* message) {
      if (message != nullptr) return Player::Next{boot_now() + std::chrono::milliseconds{100}};
      rang_later.happen();
      return Player::Next{};
    });
    tell(sentinel, 1);
    rang_later.require();
    stage.leave(sentinel);
    stage.leave(player);
    CHECK(alarms == 0);
  }
  Once rang;
  const auto player = play(stage, [&](const int* message) {
    if (message != nullptr)
      return Player::Next{*message == 1 ? boot_now() + far_away : boot_now() - far_away};
    rang.happen();
    return Player::Next{};
  });
  tell(player, 1);
  tell(player, 2);
  rang.require();
  stage.leave(player);
}

TEST_CASE("An alarm that is put off again and again rings once, when it is due", "[shell]") {
  Stage stage{2};
  int alarms = 0;
  Time asked_for{}, rang_at{};
  Once all_sent, rang;
  const auto player = play(stage, [&](const int* message) {
    if (message == nullptr) {
      ++alarms;
      rang_at = boot_now();
      rang.happen();
      return Player::Next{};
    }
    if (*message == 1) all_sent.wait();
    return Player::Next{asked_for = boot_now() + std::chrono::milliseconds{10 * *message}};
  });
  for (int number = 1; number <= 5; ++number) tell(player, number);
  all_sent.happen();
  rang.require();
  stage.leave(player);
  CHECK(alarms == 1);
  CHECK(rang_at >= asked_for);
}

TEST_CASE("An alarm rings once for each time it was asked for", "[shell]") {
  Stage stage{1};
  int alarms = 0;
  Once enough;
  const auto player = play(stage, [&](const int* message) {
    if (message == nullptr && ++alarms == 100) enough.happen();
    return Player::Next{alarms < 100 ? boot_now() : never};
  });
  tell(player, 1);
  enough.require();
  stage.leave(player);
  CHECK(alarms == 100);
}

TEST_CASE("A player that closed hears nothing more, and posts to it go nowhere", "[shell]") {
  Stage stage{2};
  std::vector<int> heard;
  Once gone;
  const auto player = stage.spawn(std::make_unique<ScriptedPlayer>(
      [&](const int* message) {
        heard.push_back(message != nullptr ? *message : -1);
        return Player::Next{boot_now(), true};
      },
      nullptr, [&] { gone.happen(); }));
  tell(player, 2);
  tell(player, 3);
  gone.require();
  auto late = std::make_shared<int>(4);
  const std::weak_ptr<int> watched = late;
  Stage::post(player, std::move(late));
  stage.leave(player);
  CHECK(heard == std::vector<int>{2});
  CHECK(watched.expired());
}

TEST_CASE("An exception tells crashed() once and ends the player", "[shell]") {
  Stage stage{2};
  std::atomic<int> handled = 0;
  std::vector<std::string> told;
  Once gone;
  const auto player = stage.spawn(std::make_unique<ScriptedPlayer>(
      [&](const int* message) -> Player::Next {
        ++handled;
        if (*message == 2) throw std::runtime_error{"number two"};
        return {};
      },
      [&](std::string what) { told.push_back(std::move(what)); }, [&] { gone.happen(); }));
  for (int i = 1; i <= 5; ++i) tell(player, i);
  gone.require();
  stage.leave(player);
  CHECK(handled == 2);
  CHECK(told == std::vector<std::string>{"number two"});
}

TEST_CASE("A crash of one player leaves the others alone", "[shell]") {
  Stage stage{1};
  int heard = 0;
  const auto broken = play(stage, [](const int*) -> Player::Next { throw std::logic_error{"x"}; });
  const auto sound = play(stage, [&](const int*) {
    ++heard;
    return Player::Next{};
  });
  for (int i = 0; i < 10; ++i) {
    tell(broken, i);
    tell(sound, i);
  }
  stage.leave(broken);
  stage.leave(sound);
  CHECK(heard == 10);
}

TEST_CASE("leave() comes after what was posted before, and returns when the player is gone",
          "[shell]") {
  Stage stage{2};
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> handled = 0;
    std::atomic<bool> gone = false;
    const auto player = stage.spawn(std::make_unique<ScriptedPlayer>(
        [&](const int*) {
          ++handled;
          return Player::Next{boot_now() + far_away};
        },
        nullptr, [&] { gone = true; }));
    for (int i = 0; i < 20; ++i) tell(player, i);
    stage.leave(player);
    REQUIRE(gone);
    REQUIRE(handled == 20);
    stage.leave(player); // of one that is gone already: returns
  }
}

TEST_CASE("A message is its player's alone: released in the middle of its handling, it is gone",
          "[shell]") {
  struct Releasing final : Player {
    std::weak_ptr<int> watched;
    bool* freed = nullptr;
    Next handle(std::shared_ptr<void> message) override {
      message.reset();
      *freed = watched.expired();
      return {};
    }
    void crashed(const std::string&) override {}
  };
  Stage stage{1};
  bool freed = false;
  auto message = std::make_shared<int>(1);
  auto releasing = std::make_unique<Releasing>();
  releasing->watched = message;
  releasing->freed = &freed;
  const auto player = stage.spawn(std::move(releasing));
  Stage::post(player, std::move(message));
  stage.leave(player);
  CHECK(freed);
}
