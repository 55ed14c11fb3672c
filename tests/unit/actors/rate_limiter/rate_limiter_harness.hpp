// What the tests of the rate limiter share: a limiter whose blocks are durable at once, and words
// to ask it with.
#pragma once

#include "actors/rate_limiter/rate_limiter.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace gristmill::rate_limiter_test {

using namespace std::chrono_literals;

inline std::vector<CallId> ids(std::initializer_list<std::uint64_t> values) {
  std::vector<CallId> calls;
  for (const std::uint64_t value : values) calls.push_back(CallId{value});
  return calls;
}

inline EndpointSpec endpoint_at(std::string url, RateLimits limits = {}) {
  EndpointSpec spec;
  spec.url = std::move(url);
  spec.limits = limits;
  return spec;
}

inline std::vector<CallId> calls(std::uint64_t count) {
  std::vector<CallId> calls;
  for (std::uint64_t call = 1; call <= count; ++call) calls.push_back(CallId{call});
  return calls;
}

struct Bench {
  rate_limiter::RateLimiter limiter{Epoch{3}};
  Time now = time_from_ns(0) + 1h;
  SessionId session{5};
  Nonce nonce{11};
  std::uint64_t token_bound = 1, output_bound = 0;
  std::string model; // of all calls

  void offer(EndpointOffer offer) { limiter.endpoint_added(offer, now); }
  // A shared endpoint with a URL of its own.
  void endpoint(std::uint32_t id, RateLimits limits) {
    const std::string url = fmt::format("http://host-{}/v1", id);
    offer({EndpointId{id}, "m", endpoint_at(url, limits), SessionId{}});
  }
  void job(std::uint32_t id, RateLimits limits) {
    limiter.job_opened({JobId{id}, limits, {}}, now);
  }

  Acquire question(const std::vector<CallId>& calls) const {
    Acquire acquire{session, nonce, {}};
    for (const CallId call : calls)
      acquire.calls.push_back({call, JobId{7}, call.value, token_bound, model, output_bound});
    return acquire;
  }
  // What is to be written now: the names of blocks, and of marks.
  std::vector<std::uint64_t> reserve() {
    std::vector<std::uint64_t> numbers;
    for (const auto& note : limiter.reserve(now)) numbers.push_back(note.block);
    if (const auto marks = limiter.reserve_marks(now); !marks.notes.empty())
      numbers.push_back(marks.number);
    return numbers;
  }
  void write_blocks() {
    for (const std::uint64_t number : reserve()) limiter.durable(number);
  }
  // Asks, and once more if only a block was missing.
  Granted ask(const std::vector<CallId>& calls) {
    Granted granted = limiter.acquire(question(calls), now);
    for (int i = 0; i < 2 && granted.permits.empty(); ++i) {
      write_blocks();
      granted = limiter.acquire(question(calls), now);
    }
    return granted;
  }
  void warm_up() {
    for (int i = 0; i < 2; ++i) {
      Acquire acquire = question({CallId{1}});
      for (std::uint32_t id = 7; id <= 8; ++id) {
        acquire.calls[0].job = JobId{id};
        for (const auto& permit : limiter.acquire(acquire, now).permits) unstarted(permit);
      }
      write_blocks();
    }
  }
  bool goes(std::uint64_t call) { return !ask({CallId{call}}).permits.empty(); }
  std::string wait_reason(std::uint64_t call) {
    const Granted granted = ask({CallId{call}});
    return granted.waits.empty() ? "goes" : std::string{words_of(granted.waits.front().reason)};
  }

  void answered(const protocol::Permit& permit, OutcomeClass cls = OutcomeClass::ok,
                std::int64_t retry_after_ms = -1, protocol::Usage usage = {}) {
    Ended ended{Ended::How::answered, permit.attempt, cls, usage, retry_after_ms};
    // As servers say it; without an answer there is no status.
    if (info(cls).news != EndpointNews::away && cls != OutcomeClass::timeout)
      ended.http_status = cls == OutcomeClass::ok ? 200 : cls == OutcomeClass::config ? 401 : 400;
    limiter.ended(ended, now);
  }
  void unstarted(const protocol::Permit& permit) {
    limiter.ended({Ended::How::unstarted, permit.attempt, {}, {}, -1}, now);
  }
  void too_late(const protocol::Permit& permit) {
    limiter.ended({Ended::How::too_late, permit.attempt, {}, {}, -1}, now);
  }
  void lost(const protocol::Permit& permit) {
    limiter.ended({Ended::How::lost, permit.attempt, {}, {}, -1}, now);
  }
};

} // namespace gristmill::rate_limiter_test
