// A budget of tokens that is used well though nobody knows beforehand what a call will use: prompts
// and answers of very different lengths, limits of calls and of tokens both tight, a provider that
// counts what calls really used.
#include "actors/kit/random.hpp"
#include "tests/unit/actors/rate_limiter/rate_limiter_harness.hpp"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>
#include <queue>

namespace token_budget_test {

using namespace gristmill;
using namespace gristmill::rate_limiter;
using namespace gristmill::rate_limiter_test;

namespace {

struct Traffic {
  double prompt_median, prompt_sigma, answer_median, answer_sigma;
  std::uint64_t max_tokens;
};

struct TrueCall {
  std::uint64_t bound = 0, prompt = 0, answer = 0;
  Duration latency{};
  std::uint64_t used() const { return prompt + answer; }
};

double lognormal(Random& random, double median, double sigma) {
  const double r = std::sqrt(-2 * std::log(1 - random.unit()));
  return median * std::exp(sigma * r * std::cos(2 * M_PI * random.unit()));
}

TrueCall call_of(const Traffic& traffic, Random& random) {
  TrueCall call;
  call.prompt =
      static_cast<std::uint64_t>(lognormal(random, traffic.prompt_median, traffic.prompt_sigma)) +
      8;
  const double answer = lognormal(random, traffic.answer_median, traffic.answer_sigma);
  call.answer = std::min(static_cast<std::uint64_t>(answer) + 1, traffic.max_tokens);
  const auto bytes =
      static_cast<std::uint64_t>(static_cast<double>(call.prompt) * (3.5 + 1.5 * random.unit()));
  call.bound = bytes + traffic.max_tokens + 200;
  // Longer answers take longer, so that the first ones to be known are the short ones.
  call.latency =
      std::clamp<Duration>(from_seconds(static_cast<double>(call.answer) / traffic.answer_median *
                                        (0.4 + 1.2 * random.unit())),
                           200ms, 5s);
  return call;
}

constexpr Traffic mixed{300, 1.0, 150, 0.8, 4'096};

// What a provider counts, of calls or of tokens.
class Counted {
public:
  void add(Time at, std::uint64_t amount) { entries_.emplace_back(at, amount); }
  std::uint64_t most_in_a_minute() {
    std::sort(entries_.begin(), entries_.end());
    std::uint64_t sum = 0, most = 0;
    for (std::size_t last = 0, first = 0; last < entries_.size(); ++last) {
      sum += entries_[last].second;
      while (entries_[first].first + 60s <= entries_[last].first) sum -= entries_[first++].second;
      most = std::max(most, sum);
    }
    return most;
  }
  // How often a server with a second's burst would have refused.
  std::uint64_t refusals(std::uint64_t per_minute) {
    std::sort(entries_.begin(), entries_.end());
    const double most = static_cast<double>(per_minute) / 60;
    double level = most;
    Time at = entries_.empty() ? Time{} : entries_.front().first;
    std::uint64_t refused = 0;
    for (const auto& [arrived, amount] : entries_) {
      level = std::min(most, level + most * to_seconds(arrived - at));
      at = arrived;
      if (level < std::min(static_cast<double>(amount), most)) ++refused;
      level -= static_cast<double>(amount);
    }
    return refused;
  }
  std::uint64_t between(Time from, Time to) const {
    std::uint64_t sum = 0;
    for (const auto& [at, amount] : entries_)
      if (at >= from && at < to) sum += amount;
    return sum;
  }

private:
  std::vector<std::pair<Time, std::uint64_t>> entries_;
};

struct Seen {
  Counted calls, tokens_at_admission, tokens_at_completion;
  double used = 0; // of the tighter limit, in steady state
};

// An asker who is always hungry, for some minutes.
Seen run(const RateLimits& limits, const Traffic& traffic, std::uint64_t seed, int minutes,
         int warm_minutes, bool job_limit = false) {
  constexpr auto disk = 10ms, step = 5ms;
  Random random{seed};
  Bench bench;
  bench.endpoint(1, job_limit ? RateLimits{} : limits);
  bench.job(7, job_limit ? limits : RateLimits{});
  Seen seen;
  std::deque<std::pair<Time, std::uint64_t>> writing;
  struct Flying {
    Time ends;
    protocol::Permit permit;
    TrueCall call;
    bool operator<(const Flying& other) const { return ends > other.ends; }
  };
  std::priority_queue<Flying> flying;
  std::deque<TrueCall> waiting;
  std::uint64_t item = 0;
  const Time begin = bench.now, end = begin + minutes * 60s;
  for (; bench.now < end; bench.now += step) {
    for (; !writing.empty() && writing.front().first <= bench.now; writing.pop_front())
      bench.limiter.durable(writing.front().second);
    for (; !flying.empty() && flying.top().ends <= bench.now; flying.pop()) {
      const Flying& done = flying.top();
      protocol::Usage usage;
      usage.known = true;
      usage.prompt = done.call.prompt;
      usage.completion = done.call.answer;
      seen.tokens_at_completion.add(done.ends, done.call.used());
      bench.answered(done.permit, OutcomeClass::ok, -1, usage);
    }
    while (waiting.size() < 16) waiting.push_back(call_of(traffic, random));
    Acquire question{bench.session, bench.nonce, {}};
    for (std::size_t i = 0; i < waiting.size(); ++i)
      question.calls.push_back({CallId{i + 1}, JobId{7}, item + i, waiting[i].bound});
    const auto permits = bench.limiter.acquire(question, bench.now).permits;
    for (const auto& permit : permits) {
      const TrueCall& call = waiting[permit.call.value - 1];
      const Time admitted = bench.now + random.between(1ms, 50ms);
      seen.calls.add(admitted, 1);
      seen.tokens_at_admission.add(admitted, call.used());
      flying.push({admitted + call.latency, permit, call});
      ++item;
    }
    // They go in order.
    waiting.erase(waiting.begin(), waiting.begin() + static_cast<std::ptrdiff_t>(permits.size()));
    for (const std::uint64_t number : bench.reserve())
      writing.emplace_back(bench.now + disk, number);
  }
  const Time steady = begin + warm_minutes * 60s;
  const auto share = [&](const Counted& counted, std::uint64_t limit) {
    return limit == 0 ? 0.0
                      : static_cast<double>(counted.between(steady, end)) /
                            static_cast<double>(limit *
                                                static_cast<std::uint64_t>(minutes - warm_minutes));
  };
  seen.used = std::max(share(seen.calls, limits.requests_per_minute),
                       share(seen.tokens_at_admission, limits.tokens_per_minute));
  return seen;
}

} // namespace

TEST_CASE("limits of calls and tokens, both tight, are used up and never exceeded", "[tokens]") {
  const auto limits = GENERATE(values<RateLimits>({
      {6'000, 4'500'000, 0}, // calls are the tighter ones
      {6'000, 4'200'000, 0},
      {6'000, 3'900'000, 0}, // tokens are
      {20'000, 12'000'000, 0},
  }));
  const auto [job_limit, seed] = GENERATE(table<bool, unsigned>({{false, 1}, {true, 2}}));
  CAPTURE(limits.requests_per_minute, limits.tokens_per_minute, job_limit, seed);
  Seen seen = run(limits, mixed, seed, 12, 3, job_limit);
  CHECK(seen.used >= 0.98);
  CHECK(seen.calls.most_in_a_minute() <= limits.requests_per_minute);
  CHECK(seen.tokens_at_admission.most_in_a_minute() <= limits.tokens_per_minute);
  CHECK(seen.tokens_at_completion.most_in_a_minute() <= limits.tokens_per_minute);
  CHECK(seen.tokens_at_admission.refusals(limits.tokens_per_minute) == 0);
}

TEST_CASE("answers far below what they may have leave the budget to others", "[tokens]") {
  // 100 tokens of the 4,500 that a call may use: reserving those used 4 % of the budget.
  Seen seen = run({0, 600'000, 0}, {60, 0.1, 40, 0.1, 4'096}, 1, 4, 2);
  CHECK(seen.used >= 0.98);
  CHECK(seen.tokens_at_admission.most_in_a_minute() <= 600'000);
  CHECK(seen.tokens_at_admission.refusals(600'000) == 0);
}

TEST_CASE("small budgets are used less, and as little exceeded", "[tokens]") {
  const auto [limits, least] = GENERATE(table<RateLimits, double>({
      {{600, 400'000, 0}, 0.93},
      {{0, 100'000, 0}, 0.75}, // some three calls at a time, few of which are alike
      {{0, 30'000, 0}, 0.75},  // one call may use a tenth of the minute
  }));
  CAPTURE(limits.tokens_per_minute);
  Seen seen = run(limits, mixed, 1, 12, 3);
  CHECK(seen.used >= least);
  CHECK(seen.tokens_at_admission.most_in_a_minute() <= limits.tokens_per_minute);
}

} // namespace token_budget_test
