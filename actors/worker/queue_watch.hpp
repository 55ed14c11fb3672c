// QUEUE WATCH: when a worker looks at the metrics of the endpoints that it calls, and what it has
// to tell of them. A page is looked at while calls are under way at its endpoint: a second after
// the time before, or as much later as the coordinator says because many workers look; ever more
// rarely while it cannot be read. Invariant: at most one look at a time per endpoint, and none at
// an endpoint without calls.
#pragma once

#include "actors/kit/event.hpp"
#include "actors/worker/model_client.hpp"
#include "protocol/messages.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::worker {

class QueueWatch {
public:
  void call_began(EndpointId endpoint, const std::string& metrics_url);
  void call_ended(EndpointId endpoint);
  // From now on it is looked at less often, or more often.
  void pause(const protocol::ReadPause& pause);

  // Pages to be looked at now; each ends in one ended(). What has had no call for long is
  // forgotten.
  std::vector<PageRead> due(Time now);
  // Something for the log, when a page proves unreadable.
  std::optional<Event> ended(const PageEnded& page, Time now);

  // What is to be told now, gathered for a moment: endpoints may be many.
  std::vector<protocol::QueueReport> take(Time now);
  void forget() { news_.clear(); } // there is nobody to be told
  Time wake_at() const;
  std::size_t size() const { return watched_.size(); }

private:
  struct Watched {
    std::string url;
    std::uint32_t calls = 0, failures = 0; // in a row
    Duration every{};                      // at least, from look to look
    Time begun_at{}, next_at{Time::min()};
    bool reading = false, known = false; // it was readable once
  };


  std::map<EndpointId, Watched> watched_;
  std::map<EndpointId, protocol::QueueReport> news_;
  Time told_at_{Time::min()};
};

} // namespace gristmill::worker
