// RATE LIMITER and JOURNAL as they are wired, on virtual time: what is appended gathers into
// groups, and whoever writes them says when they are durable.
#pragma once

#include "actors/wiring/rooms.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace gristmill::limiter_journal_test {

using namespace std::chrono_literals;
using namespace gristmill::wiring;

struct Scene {
  Time now;
  LimiterRoom limiter;
  JournalRoom journal;
  std::vector<journal::Group> groups; // to be written; one at a time
  std::vector<protocol::Permit> permits;
  std::uint64_t calls = 0, nonces = 0;

  explicit Scene(Time begin, Epoch epoch = Epoch{1}, journal::Position last = 0)
      : now{begin}, limiter{life(epoch), begin}, journal{last, outcomes_gather} {}

  static journal::Recovered life(Epoch epoch) {
    journal::Recovered recovered;
    recovered.epoch = epoch;
    return recovered;
  }
  void tell(Room& room, Message message) {
    Post post;
    room.handle(std::move(message), {now, 1'000}, post);
    CHECK_FALSE(post.fatal);
    for (Envelope& envelope : post.envelopes) {
      if (auto* granted = std::get_if<Granted>(&envelope.message)) {
        for (auto& permit : granted->permits) permits.push_back(std::move(permit));
      } else if (auto* group = std::get_if<journal::Group>(&envelope.message)) {
        groups.push_back(std::move(*group));
      } else if (std::holds_alternative<AppendNow>(envelope.message)) {
        tell(journal, std::move(envelope.message));
      } else if (std::holds_alternative<BlocksDurable>(envelope.message)) {
        tell(limiter, std::move(envelope.message));
      }
    }
  }
  void open(std::uint32_t jobs, RateLimits of_job, RateLimits of_endpoint = {}) {
    LimiterNews news;
    EndpointSpec endpoint;
    endpoint.url = "http://a";
    endpoint.limits.requests_per_minute = of_endpoint.requests_per_minute;
    news.endpoints_added.push_back({EndpointId{1}, "m", endpoint, {}});
    for (std::uint32_t id = 1; id <= jobs; ++id)
      news.jobs_opened.push_back({JobId{id}, of_job, {}});
    tell(limiter, std::move(news));
  }
  // Asks for one call of the job; whether it may go. It ends at once.
  bool call(std::uint32_t job, std::uint64_t item) {
    LimiterNews news;
    news.acquires.push_back(
        {SessionId{1}, Nonce{++nonces}, {{CallId{++calls}, JobId{job}, item, 1}}});
    tell(limiter, std::move(news));
    if (permits.empty()) return false;
    LimiterNews end;
    for (const auto& permit : std::exchange(permits, {}))
      end.ended.push_back({Ended::How::answered, permit.attempt, OutcomeClass::ok, {}, -1});
    tell(limiter, std::move(end));
    return true;
  }
  void durable() {
    const journal::Position upto = groups.front().upto;
    groups.erase(groups.begin());
    tell(journal, StoreDurable{upto});
  }
};

} // namespace gristmill::limiter_journal_test
