// A server that takes less than we were told, or than anybody knows: how soon its limit is found,
// how well it is used then, and how few calls are refused on the way.
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

#include "actors/kit/random.hpp"

#include <deque>
#include <queue>

namespace learned_rate_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

// As providers do it: a bucket that refills at the rate; what is refused costs nothing.
class Server {
public:
  Server(double per_minute, double burst_s)
      : rate_{per_minute / 60}, most_{std::max(rate_ * burst_s, 1.0)}, level_{most_} {}
  void set_rate(double per_minute, double burst_s) {
    rate_ = per_minute / 60;
    most_ = std::max(rate_ * burst_s, 1.0);
  }
  // Seconds to wait; 0 = taken.
  double take(double amount, Time now) {
    if (at_ != Time{}) level_ = std::min(most_, level_ + rate_ * to_seconds(now - at_));
    at_ = now;
    const double missing = std::min(amount, most_) - level_;
    if (missing > 1e-6) return missing / rate_;
    level_ -= amount;
    return 0;
  }

private:
  double rate_, most_, level_;
  Time at_{};
};

struct Story {
  RateLimits configured;
  double takes_per_minute; // calls, or tokens
  bool tokens = false;
  double burst_s = 1;
  bool says_when = true;
  OutcomeClass cls = OutcomeClass::rate;
  std::uint32_t slots = 64;
  std::uint64_t token_bound = 500; // of which a call uses 500
};

struct Told {
  std::vector<Time> taken, refused;
  double amount = 1;
  Time begin{};
  double used(Duration from, Duration to, double per_minute) const {
    double sum = 0;
    for (const Time at : taken)
      if (at >= begin + from && at < begin + to) sum += amount;
    return sum / (per_minute * to_seconds(to - from) / 60);
  }
  double share_refused() const {
    return static_cast<double>(refused.size()) / static_cast<double>(refused.size() + taken.size());
  }
};

Told run(const Story& story, Duration lasts, std::uint64_t seed = 1) {
  constexpr auto disk = 10ms, step = 5ms;
  constexpr std::uint64_t tokens_of_call = 500;
  Random random{seed};
  Bench bench;
  RateLimits limits = story.configured;
  limits.max_in_flight = story.slots;
  bench.endpoint(1, limits);
  bench.job(7, {});
  bench.token_bound = story.token_bound;
  Server server{story.takes_per_minute, story.burst_s};
  std::deque<std::pair<Time, std::uint64_t>> writing;
  struct Event {
    Time at;
    protocol::Permit permit;
    bool arrives;
    double wait_s;
    bool operator<(const Event& other) const { return at > other.at; }
  };
  std::priority_queue<Event> events;
  Told told;
  told.begin = bench.now;
  told.amount = story.tokens ? tokens_of_call : 1;
  std::uint64_t next = 1;
  const Time end = bench.now + lasts;
  for (; bench.now < end; bench.now += step) {
    for (; !writing.empty() && writing.front().first <= bench.now; writing.pop_front())
      bench.limiter.durable(writing.front().second);
    while (!events.empty() && events.top().at <= bench.now) {
      Event event = events.top();
      events.pop();
      if (event.arrives) {
        event.wait_s = server.take(told.amount, event.at);
        (event.wait_s == 0 ? told.taken : told.refused).push_back(event.at);
        event.arrives = false;
        event.at += event.wait_s > 0 ? 5ms : random.between(200ms, 1s);
        events.push(event);
        continue;
      }
      protocol::Usage usage;
      usage.known = event.wait_s == 0;
      usage.prompt = usage.known ? tokens_of_call : 0;
      const std::int64_t wait_ms =
          story.says_when ? static_cast<std::int64_t>(event.wait_s * 1'000) + 1 : -1;
      Ended ended{Ended::How::answered, event.permit.attempt,
                  usage.known ? OutcomeClass::ok : story.cls, usage, usage.known ? -1 : wait_ms};
      ended.tokens_refused = story.tokens;
      bench.limiter.ended(ended, bench.now);
    }
    for (int i = 0; i < 2; ++i) { // two workers
      std::vector<CallId> calls;
      for (int k = 0; k < 8; ++k) calls.push_back(CallId{next++});
      for (const auto& permit : bench.limiter.acquire(bench.question(calls), bench.now).permits)
        events.push({bench.now + random.between(2ms, 20ms), permit, true, 0});
    }
    for (const std::uint64_t number : bench.reserve())
      writing.emplace_back(bench.now + disk, number);
  }
  return told;
}

} // namespace

// One story by hand: ten calls a second, refusals when it is said.
struct Hand {
  LearnedRate learned;
  Time now = time_from_ns(0) + 1h;
  void send(Duration lasts, double per_second) {
    const Time end = now + lasts;
    for (; now < end; now += from_seconds(1 / per_second)) {
      learned.advance(100, now);
      learned.sent(1, now);
    }
  }
  void refuse(double rate, Time sent_at) {
    learned.corrected(-1, sent_at);
    learned.refused(1, sent_at, rate, false, now);
  }
};

TEST_CASE("a burst of refusals lowers the rate once", "[rates]") {
  Hand hand;
  hand.send(10s, 10);
  std::vector<Time> burst;
  for (int i = 0; i < 5; ++i, hand.now += 10ms) {
    hand.learned.sent(1, hand.now);
    burst.push_back(hand.now);
  }
  CHECK(hand.learned.rate() == 0);
  hand.refuse(20, burst[0]);
  const double rate = hand.learned.rate();
  CHECK(rate == Approx(9.5).epsilon(0.05)); // a little below what was taken
  for (int i = 1; i < 5; ++i) hand.refuse(rate, burst[static_cast<std::size_t>(i)]);
  // They seemed to be taken at first.
  CHECK(hand.learned.rate() <= rate);
  CHECK(hand.learned.rate() >= 0.94 * rate);
}

TEST_CASE("a server that refuses everything for a moment is not forgotten", "[rates]") {
  const double rate = GENERATE(0.0, 20.0);
  Hand hand;
  const Time begin = hand.now;
  for (int i = 0; i < 40; ++i) hand.learned.sent(1, begin);
  hand.now += 50ms;
  for (int i = 0; i < 40; ++i) hand.refuse(rate, begin);
  CHECK(hand.learned.rate() >= (rate == 0 ? 0.95 : rate / 4));
}

TEST_CASE("of a few calls nothing is learned", "[rates]") {
  Hand hand;
  hand.send(400ms, 10);
  hand.refuse(0, hand.now);
  CHECK(hand.learned.rate() == 0);
  hand.refuse(20, hand.now + 1ms);
  CHECK(hand.learned.rate() == Approx(18.6)); // but for a cautious guess
}

TEST_CASE("a rate grows again while it is used, and ends where it was configured", "[rates]") {
  Hand hand;
  hand.send(10s, 10);
  hand.refuse(20, hand.now);
  const double low = hand.learned.rate();
  hand.now += 1min; // nothing is sent, nothing is learned
  hand.learned.advance(100, hand.now);
  CHECK(hand.learned.rate() == low);
  hand.send(9s, low);
  CHECK(hand.learned.rate() == low);
  double before = low;
  for (int i = 0; i < 40 && hand.learned.rate() != 0; ++i) {
    hand.send(10s, hand.learned.rate());
    if (hand.learned.rate() == 0) break;
    CHECK(hand.learned.rate() >= before);
    CHECK(hand.learned.rate() <= 1.51 * before);
    before = hand.learned.rate();
  }
  CHECK(hand.learned.rate() == 0); // no lower than configured: nothing is left to learn
}

TEST_CASE("a ceiling that was hit twice is left alone for longer", "[rates]") {
  Hand hand;
  hand.send(10s, 10);
  hand.refuse(20, hand.now);
  const auto seconds_to_probe = [&] {
    int seconds = 0;
    while (hand.learned.rate() < 10 && seconds < 1'000) {
      hand.send(1s, hand.learned.rate());
      ++seconds;
    }
    return seconds;
  };
  const int first = seconds_to_probe();
  hand.refuse(hand.learned.rate(), hand.now);
  const int second = seconds_to_probe();
  CHECK(first < 60);
  CHECK(second >= first + 10);
}

TEST_CASE("a limit at half of what was configured is found at once, and used well", "[rates]") {
  const auto story = GENERATE(values<Story>({
      {{1'200, 0, 0}, 600},
      {{1'200, 0, 0}, 600, false, 1, false}, // it does not say when to come again
      {{12'000, 0, 0}, 6'000},
      {{6'000, 0, 0}, 600},
      {{1'200, 0, 0}, 600, false, 5}, // it lets more pile up than a second's worth
      {{0, 600'000, 0}, 300'000, true},
      {{0, 600'000, 0}, 300'000, true, 1, true, OutcomeClass::rate, 64, 4'000},
  }));
  const auto seed = GENERATE(1u, 2u, 3u);
  CAPTURE(story.configured.requests_per_minute, story.configured.tokens_per_minute, story.burst_s,
          story.says_when, seed);
  const Told told = run(story, 300s, seed);
  CHECK(told.share_refused() <= 0.02);
  CHECK(told.used(30s, 60s, story.takes_per_minute) >= 0.9);
  CHECK(told.used(60s, 300s, story.takes_per_minute) >= 0.95);
}

TEST_CASE("a limit that nobody configured is found in the first burst", "[rates]") {
  const auto story = GENERATE(values<Story>({
      {{0, 0, 0}, 600},
      {{0, 0, 0}, 3'000},
      {{0, 0, 0}, 300'000, true},
      {{0, 0, 0}, 300'000, true, 1, true, OutcomeClass::rate, 64, 4'000},
  }));
  CAPTURE(story.takes_per_minute, story.tokens);
  const Told told = run(story, 300s);
  // All that the slots allow go out before anything is known.
  CHECK(told.refused.size() <= story.slots + 30);
  CHECK(told.share_refused() <= 0.02);
  CHECK(told.used(10s, 30s, story.takes_per_minute) >= 0.85);
  CHECK(told.used(30s, 300s, story.takes_per_minute) >= 0.95);
}

TEST_CASE("where the limit is the server's, nothing is refused", "[rates]") {
  const auto seed = GENERATE(1u, 2u);
  CAPTURE(seed);
  const Told told = run({{600, 0, 0}, 600}, 240s, seed);
  CHECK(told.refused.empty());
  CHECK(told.used(30s, 240s, 600) >= 0.98);
}

TEST_CASE("a server that asks for a ramp is given one", "[rates]") {
  const Told told = run({{1'200, 0, 0}, 600, false, 1, true, OutcomeClass::ramp}, 300s);
  CHECK(told.share_refused() <= 0.005);
  CHECK(told.used(30s, 300s, 600) >= 0.7);
}

TEST_CASE("while nothing at all is taken a refusal lowers nothing further", "[rates]") {
  Hand hand;
  hand.send(10s, 10);
  hand.learned.sent(1, hand.now);
  hand.refuse(20, hand.now);
  const bool taken = GENERATE(false, true);
  double rate = 0;
  for (int second = 0; second < 14; ++second) {
    if (second == 4) rate = hand.learned.rate();
    hand.now += 1s;
    hand.learned.sent(taken ? 2 : 1, hand.now);
    hand.refuse(hand.learned.rate(), hand.now);
  }
  if (!taken) CHECK(rate > 9.5 / 2);
  CHECK((hand.learned.rate() == rate) != taken);
}

} // namespace learned_rate_test
