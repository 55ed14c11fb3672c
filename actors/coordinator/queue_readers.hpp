// QUEUE READERS: which workers look at an endpoint's page of metrics, and how often each of them
// should. One worker looks every second; a page costs its server time, so many share the looks.
// Invariant: whoever has not told of an endpoint for a while does not count as one who looks at it.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/messages.hpp"

#include <algorithm>
#include <map>

namespace gristmill::coordinator {

class QueueReaders {
public:
  static constexpr auto pause_least = std::chrono::milliseconds{1'000},
                        pause_most = std::chrono::milliseconds{10'000},
                        pause_per_reader = std::chrono::milliseconds{500};
  static constexpr auto gone_after = 5 * pause_most / 2;

  // The session has told of the endpoint's queue: when it should look again.
  protocol::ReadPause pause(EndpointId endpoint, SessionId session, Time now) {
    forget(now);
    auto& readers = readers_[endpoint];
    readers[session] = now;
    const auto pause = pause_per_reader * static_cast<std::int64_t>(readers.size());
    return {endpoint, static_cast<std::uint32_t>(
                          std::clamp<std::chrono::milliseconds>(pause, pause_least, pause_most)
                              .count())};
  }
  std::size_t size() const { return readers_.size(); }

private:
  void forget(Time now) {
    if (now < forgotten_at_ + pause_least) return;
    forgotten_at_ = now;
    for (auto& [endpoint, readers] : readers_)
      std::erase_if(readers, [now](const auto& r) { return now >= r.second + gone_after; });
    std::erase_if(readers_, [](const auto& entry) { return entry.second.empty(); });
  }

  std::map<EndpointId, std::map<SessionId, Time>> readers_;
  Time forgotten_at_{};
};

} // namespace gristmill::coordinator
