#include "tests/sim/world.hpp"

#include "actors/kit/check.hpp"
#include "protocol/openai/wire.hpp"
#include "tests/sim/world_parts.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace gristmill::sim {
namespace {

constexpr auto fault_step = std::chrono::milliseconds{100};
constexpr auto patience = std::chrono::seconds{1'500};

std::uint64_t fnv1a(std::uint64_t hash, std::string_view text) {
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

} // namespace

World::World(std::uint64_t seed, bool verbose)
    : random_{seed}, swarm_{Swarm::draw(random_)}, verbose_{verbose} {
  for (std::uint32_t n = 0; n < swarm_.items; ++n)
    input_ +=
        fmt::format("{{\"custom_id\":\"i{0}\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
                    "\"body\":{{\"model\":\"m\",\"messages\":[{{\"role\":\"user\",\"content\":"
                    "\"text {0}\"}}]}}}}\n",
                    n);
  spec_.inputs = {{"in.jsonl", "in.jsonl"}};
  spec_.endpoints = {{"http://endpoint/v1", "", "", 0, 0, 0}};
  spec_.requests_per_minute = swarm_.requests_per_minute;
  spec_.retries = 1'000;
  spec_.timeout_ms = 5'000;
  verdict_.trace_hash = 0xcbf29ce484222325u;
}

World::~World() = default;

void World::at(Time time, std::function<void()> what) {
  events_.push({time, next_order_++, std::move(what)});
}

Duration World::around(Duration mean) {
  const double factor = -std::log(1.0 - random_.unit());
  return Duration{static_cast<std::int64_t>(factor * static_cast<double>(mean.count()))};
}

void World::trace(const std::string& line) {
  const std::string full = fmt::format("{:.6f} {}", to_seconds(now_ - begin_), line);
  verdict_.trace_hash = fnv1a(verdict_.trace_hash, full);
  if (verbose_) std::printf("%s\n", full.c_str());
}

void World::violation(std::string what) {
  trace("VIOLATION " + what);
  verdict_.violations.push_back(std::move(what));
}

Verdict World::run() {
  if (verbose_) std::printf("%s\n", swarm_.text().c_str());
  workers_.resize(swarm_.workers);
  start_coordinator();
  for (std::size_t i = 0; i < workers_.size(); ++i) start_worker(i);
  after(fault_step, [this] { roll_faults(); });
  at(begin_ + swarm_.faulty_phase, [this] {
    healed_ = true;
    trace("healed");
  });
  while (!events_.empty() && !finished() && verdict_.violations.empty()) {
    if (events_.top().at > begin_ + swarm_.faulty_phase + patience) {
      violation(fmt::format("not finished {} s after healing", to_seconds(patience)));
      break;
    }
    // priority_queue gives a const top; the event is moved out just before it is popped.
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = event.at;
    ++verdict_.events;
    try {
      event.what();
    } catch (const CheckFailed& e) {
      violation(e.what());
    }
  }
  if (verdict_.violations.empty()) check_end();
  verdict_.calls = calls_.size();
  verdict_.virtual_seconds = to_seconds(now_ - begin_);
  return std::move(verdict_);
}

bool World::finished() const {
  for (const auto& [id, job] : store_.jobs())
    if (is_over(job.state)) return true;
  return false;
}

void World::roll_faults() {
  if (healed_) return;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    WorkerProcess& worker = *workers_[i];
    if (random_.chance(swarm_.cut)) cut(i);
    if (worker.alive && random_.chance(swarm_.worker_crash)) crash_worker(i);
    if (worker.alive && random_.chance(swarm_.pause)) {
      const Duration pause =
          random_.between(std::chrono::milliseconds{100}, std::chrono::seconds{8});
      worker.paused_until = now_ + pause;
      trace(fmt::format("w{} paused {} ms", i, to_ms(pause)));
    }
  }
  if (coordinator_ && random_.chance(swarm_.coordinator_crash)) crash_coordinator();
  after(fault_step, [this] { roll_faults(); });
}

// Invariants.

// Each call is made once, and under a durable block that covers it.
void World::check_call(const ProviderCall& call) {
  const std::string name = to_string(call.attempt);
  if (!attempts_seen_.insert(call.attempt).second) violation("attempt " + name + " was sent twice");
  const journal::BlockNote* block = store_.block(call.attempt.epoch(), call.attempt.block());
  if (block == nullptr) return violation("attempt " + name + " names no durable block");
  if (call.attempt.n() == 0 || call.attempt.n() > block->calls)
    violation(fmt::format("attempt {} is not within its block's {} calls", name, block->calls));
  const bool marked = std::any_of(block->marks.begin(), block->marks.end(), [&](const auto& mark) {
    return mark.first == JobId{1} && call.item < mark.second;
  });
  if (!marked)
    violation(fmt::format("attempt {} of item {} lies above its block's mark", name, call.item));
}

void World::check_windows() {
  if (swarm_.requests_per_minute == 0) return;
  std::size_t first = 0;
  for (std::size_t last = 0; last < calls_.size(); ++last) {
    while (calls_[last].at - calls_[first].at >= std::chrono::seconds{60}) ++first;
    const std::uint64_t in_window = last - first + 1;
    if (in_window > swarm_.requests_per_minute)
      return violation(fmt::format("{} calls within a minute, {} allowed", in_window,
                                   swarm_.requests_per_minute));
  }
}

void World::check_result() {
  std::uint64_t next = 0;
  std::size_t from = 0;
  while (from < result_.size()) {
    const std::size_t end = result_.find('\n', from);
    if (end == std::string::npos) return violation("the result ends in a torn line");
    const auto line = nlohmann::json::parse(result_.substr(from, end - from));
    from = end + 1;
    if (line["custom_id"] != fmt::format("i{}", next))
      return violation(fmt::format("expected i{}, got {}", next, line["custom_id"].dump()));
    if (line["response"].is_null()) {
      // Three deaths with the call in hand: the one reason here for an item to fail.
      if (line["error"]["code"] != "quarantined")
        violation(fmt::format("item {} failed: {}", next, line["error"].dump()));
    } else if (line["response"]["body"]["choices"][0]["message"]["content"] !=
               fmt::format("sim {}", next)) {
      violation(fmt::format("item {} has another item's answer", next));
    }
    ++next;
  }
  if (next != swarm_.items) violation(fmt::format("{} lines for {} items", next, swarm_.items));
}

void World::check_end() {
  if (!finished()) return violation("the events ran out before the job ended");
  const auto& job = store_.jobs().begin()->second;
  if (job.state != JobState::finished)
    return violation(fmt::format("the job ended as {}: {}", name_of(job.state), job.detail));
  check_result();
  check_windows();
  const std::uint64_t wasted = calls_.size() > swarm_.items ? calls_.size() - swarm_.items : 0;
  if (wasted > wasted_allowed_)
    violation(fmt::format("{} calls beyond the items, {} explained", wasted, wasted_allowed_));
}

} // namespace gristmill::sim
