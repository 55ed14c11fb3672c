// Calls that begin as soon as a slot is free, because their permits were asked for before.
#include "tests/unit/actors/worker/worker_harness.hpp"

#include <map>

namespace worker_ahead_test {

using namespace gristmill;
using namespace gristmill::protocol;
using namespace gristmill::worker_test;

namespace {

constexpr std::uint32_t slots = 4;

// A worker of four slots whose calls end every 5 ms, so that it asks for four of them ahead. Its
// slots are full, with the calls 1001 to 1004; it holds 1005 to 1020.
struct Ahead : Scene {
  explicit Ahead(Duration gather = milliseconds{10}) : Scene{options(gather)} {
    welcome.outcome_window_bytes = 1u << 30;
    connect();
    std::vector<CallId> all;
    for (std::uint64_t call = 1; call <= 1'020; ++call) all.push_back(CallId{call});
    note(give(all));
    for (std::uint64_t call = 1; call <= 1'000; ++call) {
      now += milliseconds{5};
      grant();
      note(answer(call));
    }
    grant();
    tick(); // a heartbeat was due
    REQUIRE(room.in_flight() == slots);
  }
  static worker::Options options(Duration gather) {
    worker::Options options = plain_options(slots);
    options.ask_ahead = milliseconds{25};
    options.outcomes_wait_most = gather;
    return options;
  }
  void note(const Turn& turn) {
    for (const Need& need : turn.all<Need>()) open.push_back(need);
  }
  // All that is asked for is permitted.
  void grant(std::uint32_t life_ms = 250) {
    while (!open.empty()) {
      const Need need = open.front();
      open.erase(open.begin());
      Permits permits{need.nonce, {}};
      for (const CallId call : need.calls)
        permits.permits.push_back({call, attempt(call.value), endpoint, life_ms});
      note(tell(permits));
    }
  }
  std::uint64_t next_end = 1'001;
  Turn end_next() {
    Turn turn = answer(next_end++);
    note(turn);
    return turn;
  }
  std::vector<Need> open;
};

std::vector<std::uint64_t> started(const Turn& turn) {
  std::vector<std::uint64_t> calls;
  for (const auto& call : turn.effects.starts) calls.push_back(call.attempt.n());
  return calls;
}

} // namespace

TEST_CASE("A slot that comes free is filled at once, without a question", "[ahead]") {
  Ahead worker;
  const auto turn = worker.end_next();
  CHECK(started(turn) == std::vector<std::uint64_t>{1'005});
  CHECK(worker.room.in_flight() == slots);
}

TEST_CASE("As long as there are permits to spare outcomes gather, 10 ms at most", "[ahead]") {
  Ahead worker;
  CHECK(worker.end_next().frames.empty());
  worker.now += milliseconds{10} - Duration{1};
  CHECK(worker.tick().frames.empty());
  CHECK(worker.room.wake_at() == worker.now + Duration{1});
  const auto turn = worker.tick_after(Duration{1});
  CHECK(turn.only<Outcomes>().outcomes.size() == 1);
  CHECK(turn.frames.size() == 1);
}

TEST_CASE("With half of them used up it tells and asks in one frame, for several", "[ahead]") {
  Ahead worker;
  CHECK(worker.end_next().frames.empty());
  const auto turn = worker.end_next();
  CHECK(turn.frames.size() == 1);
  CHECK(turn.only<Outcomes>().outcomes.size() == 2);
  const Need need = turn.only<Need>();
  CHECK(need.calls == ids({1'009, 1'010}));
  CHECK(need.ahead == 2);
}

TEST_CASE("Who does not let outcomes gather tells each at once", "[ahead]") {
  Ahead worker{Duration{}};
  CHECK(worker.end_next().only<Outcomes>().outcomes.size() == 1);
}

TEST_CASE("With no permit to spare an outcome leaves at once, and its slot is asked for first",
          "[ahead]") {
  Ahead worker;
  worker.end({Scene::answered(1'001), Scene::answered(1'002)});
  const auto turn = worker.end({Scene::answered(1'003), Scene::answered(1'004)});
  CHECK(started(turn).size() == 2);
  CHECK(turn.has<Outcomes>());
  const auto empty = worker.end({Scene::answered(1'005)});
  CHECK(empty.has<Outcomes>());
  // Those that were asked for ahead will fill it.
  CHECK(worker.room.in_flight() == slots - 1);
}

TEST_CASE("What is asked for behind a free slot is asked for ahead", "[ahead]") {
  Ahead worker;
  worker.end({Scene::answered(1'001), Scene::answered(1'002), Scene::answered(1'003)});
  worker.open.clear();
  worker.now += milliseconds{500}; // nobody answers
  const auto turn = worker.end({Scene::answered(1'004), Scene::answered(1'005)});
  const Need need = turn.only<Need>();
  CHECK(need.calls.size() > need.ahead);
  CHECK(need.calls.size() - need.ahead == slots - worker.room.in_flight());
}

TEST_CASE("An idle worker's outcome waits for nothing", "[ahead]") {
  Scene scene{Ahead::options(milliseconds{10})};
  scene.connect();
  scene.fly({1});
  const auto turn = scene.answer(1);
  CHECK(turn.has<Outcomes>());
  CHECK_FALSE(turn.has<Need>());
}

TEST_CASE("A spare permit that finds no slot in half of its life goes back, its call stays",
          "[ahead]") {
  Ahead worker;
  CHECK_FALSE(worker.tick_after(milliseconds{100}).has<Returned>()); // asked for 10 ms before
  const auto turn = worker.tick_after(milliseconds{25});
  const auto returned = turn.only<Returned>();
  CHECK(returned.calls.size() == 4);
  CHECK(returned.keeps_calls);
  CHECK_FALSE(returned.too_late);
  CHECK(worker.room.held() == 16);
  // It is not used after that, and for a while no other one is asked for ahead.
  const auto next = worker.end_next();
  CHECK(started(next).empty());
  const Need need = next.only<Need>();
  CHECK(need.calls == ids({1'005}));
  CHECK(need.ahead == 0);
}

TEST_CASE("Refused ahead, a call is asked for as soon as it could start", "[ahead]") {
  Ahead worker;
  worker.end_next();
  worker.end_next();
  REQUIRE(worker.open.size() == 1);
  const Need refused = worker.open.front();
  worker.open.clear();
  CHECK(worker.tell(Wait{refused.nonce, refused.calls, 250}).frames.empty());
  CHECK(started(worker.end_next()).size() == 1);
  CHECK(started(worker.end_next()).size() == 1);
  const Need need = worker.end_next().only<Need>();
  CHECK(need.calls == ids({1'009}));
  CHECK(need.ahead == 0);
}

TEST_CASE("Refused ahead when its slot is free already, a call is asked for at once", "[ahead]") {
  Ahead worker;
  worker.end_next();
  worker.end_next(); // asks for two ahead
  for (int n = 0; n < 3; ++n) worker.end_next();
  CHECK(worker.room.in_flight() == slots - 1);
  REQUIRE(worker.open.size() > 1);
  Turn last;
  for (const Need& refused : std::exchange(worker.open, {})) {
    CHECK_FALSE(last.has<Need>()); // the others may still fill the slot
    last = worker.tell(Wait{refused.nonce, refused.calls, 250});
  }
  const Need again = last.only<Need>();
  CHECK(again.calls.size() == 1);
  CHECK(again.ahead == 0);
}

TEST_CASE("The coordinator's books and a heartbeat count a spare permit alike", "[ahead]") {
  Ahead worker;
  worker.end_next();
  const auto turn = worker.tick_after(milliseconds{2'000});
  const Heartbeat beat = turn.only<Heartbeat>();
  CHECK(beat.in_flight + beat.held == slots + 15);
  // What has gathered is told before: the coordinator would count it as in flight.
  const Ahead other;
  REQUIRE(turn.has<Outcomes>());
  CHECK(std::holds_alternative<Outcomes>(turn.frames.front().messages.front()));
}

TEST_CASE("A cancelled call takes its spare permit with it", "[ahead]") {
  Ahead worker;
  const auto turn = worker.tell(Cancel{ids({1'005})});
  const auto returned = turn.only<Returned>();
  CHECK(returned.calls == std::vector<Returned::Entry>{{CallId{1'005}, attempt(1'005)}});
  CHECK_FALSE(returned.keeps_calls);
  CHECK(started(worker.end_next()) == std::vector<std::uint64_t>{1'006});
}

TEST_CASE("A drain gives spare permits back with their calls", "[ahead]") {
  Ahead worker;
  worker.end_next();
  const auto turn = worker.drain();
  CHECK(turn.has<Outcomes>());
  std::size_t with = 0, without = 0;
  for (const auto& entry : turn.only<Returned>().calls) ++(entry.attempt ? with : without);
  CHECK(with == 3);
  CHECK(without == 12);
}

TEST_CASE("A new session knows of no spare permit, and of no outcome that gathered", "[ahead]") {
  Ahead worker;
  worker.end_next();
  worker.link_down();
  CHECK(started(worker.end_next()).empty());
  const Hello hello = worker.link_up().only<Hello>();
  CHECK(hello.held.size() == 15);
  CHECK(hello.in_flight.size() == 3);
  CHECK(hello.outbox.size() == worker.room.unrecorded());
  worker.welcome.keep_held = hello.held;
  const auto turn = worker.greet();
  std::size_t told = 0;
  for (const auto& some : turn.all<Outcomes>()) told += some.outcomes.size();
  CHECK(told == worker.room.unrecorded());
}

TEST_CASE("A second permit for a call with one to spare comes back", "[ahead]") {
  Ahead worker;
  Permits permits{Nonce{1}, {{CallId{1'005}, attempt(77), endpoint, 0}}};
  const auto returned = worker.tell(permits).only<Returned>();
  CHECK(returned.calls == std::vector<Returned::Entry>{{CallId{1'005}, attempt(77)}});
  CHECK(started(worker.end_next()) == std::vector<std::uint64_t>{1'005});
}

// One worker of 16 slots in virtual time, whose questions are answered within a round trip of 2 ms.
struct Load {
  explicit Load(bool bursts) : bursts_{bursts} {
    worker::Options options = plain_options(16);
    options.ask_ahead = defaults::ask_ahead;
    scene.emplace(options);
    scene->welcome.outcome_window_bytes = 1u << 30;
    scene->connect();
  }
  void run(std::uint64_t calls) {
    std::vector<CallId> all;
    for (std::uint64_t call = 1; call <= calls; ++call) all.push_back(CallId{call});
    note(scene->give(all));
    while (ended < calls) {
      const Time next = std::min({first(ends_), first(answers_), scene->room.wake_at()});
      REQUIRE(next != never);
      scene->now = std::max(scene->now, next);
      if (first(ends_) <= scene->now) {
        std::vector<CallEnded> now_ended;
        for (; first(ends_) <= scene->now; ends_.erase(ends_.begin()))
          now_ended.push_back(Scene::answered(ends_.begin()->second));
        ended += now_ended.size();
        note(scene->end(std::move(now_ended)));
      } else if (first(answers_) <= scene->now) {
        const Permits permits = answers_.begin()->second;
        answers_.erase(answers_.begin());
        note(scene->tell(permits));
      } else {
        note(scene->tick());
      }
    }
  }
  std::optional<Scene> scene;
  std::uint64_t ended = 0, returned = 0, frames = 0;

private:
  template <class T> static Time first(const std::multimap<Time, T>& due) {
    return due.empty() ? never : due.begin()->first;
  }
  void note(const Turn& turn) {
    frames += turn.frames.size();
    for (const auto& back : turn.all<Returned>()) returned += back.calls.size();
    for (const auto& call : turn.effects.starts) {
      seed_ = seed_ * 6364136223846793005u + 1442695040888963407u;
      const auto drawn = milliseconds{50 + static_cast<int>((seed_ >> 33) % 100)};
      // All that began about together end at one moment.
      const Time together = time_from_ns((scene->now.time_since_epoch() / seconds{1} + 1) *
                                         std::int64_t{1'000'000'000});
      ends_.emplace(bursts_ ? together : scene->now + drawn, call.attempt.n());
    }
    for (const Need& need : turn.all<Need>()) {
      Permits permits{need.nonce, {}};
      for (const CallId call : need.calls)
        permits.permits.push_back({call, attempt(call.value), endpoint, 250});
      answers_.emplace(scene->now + milliseconds{2}, std::move(permits));
    }
  }
  bool bursts_;
  std::uint64_t seed_ = 1;
  std::multimap<Time, std::uint64_t> ends_;
  std::multimap<Time, Permits> answers_;
};

TEST_CASE("Of its permits less than one in a hundred comes back unused", "[ahead]") {
  const bool bursts = GENERATE(false, true);
  CAPTURE(bursts);
  Load load{bursts};
  load.run(5'000);
  CHECK(load.returned * 100 < 5'000);
  if (!bursts) CHECK(load.frames * 4 < 3 * 5'000); // several outcomes and questions in each
}

} // namespace worker_ahead_test
