// QUEUE READERS: when each worker that reads an endpoint's metrics page should read it again. One
// worker reads every second; as a page costs its server time, many take turns, evenly spread.
// Invariant: no worker is sent away for longer than `pause_most`.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/node/messages.hpp"

#include <algorithm>
#include <map>

namespace gristmill::coordinator {

class QueueReaders {
public:
  static constexpr Duration pause_least = std::chrono::seconds{1},
                            pause_most = std::chrono::seconds{10},
                            apart = std::chrono::milliseconds{500};

  // Somebody has told of the endpoint's queue.
  protocol::ReadPause pause(EndpointId endpoint, Time now) {
    std::erase_if(turns_, [now](const auto& turn) { return turn.second + apart < now; });
    Time& last = turns_.try_emplace(endpoint, now).first->second;
    last = std::clamp(last + apart, now + pause_least, now + pause_most);
    return {endpoint, static_cast<std::uint32_t>(to_ms(last - now))};
  }
  std::size_t size() const { return turns_.size(); }

private:
  std::map<EndpointId, Time> turns_; // the last one that was given
};

} // namespace gristmill::coordinator
