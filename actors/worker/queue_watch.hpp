// QUEUE WATCH: when a worker looks at the metrics of the endpoints that it calls, and what it has
// to tell of them. A page is looked at while calls are under way at its endpoint: a second after
// the time before, or as much later as the coordinator says because many workers look; at once
// again while ever more calls run and none waits, because then each look lets more calls go; ever
// more rarely while it cannot be read. One that nobody named, but that was looked for, counts only
// if it is what it seems: of our model, and with our calls on it. Invariant: at most one look at a
// time per endpoint, and none at an endpoint without calls.
#pragma once

#include "actors/kit/event.hpp"
#include "actors/worker/model_client.hpp"
#include "actors/worker/queue_metrics.hpp"
#include "protocol/node/messages.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::worker {

struct QueuePage {
  std::string url;
  std::string model;           // set: a number of another model's calls is none of ours
  bool looked_for = false;     // nobody said that it is there
  bool in_our_network = false; // else it is not looked at
};

class QueueWatch {
public:
  void call_began(EndpointId endpoint, QueuePage page);
  void call_ended(EndpointId endpoint);
  // From now on it is looked at less often, or more often.
  void pause(const protocol::ReadPause& pause);

  // Pages to be looked at now; each ends in one ended(). What has had no call for long is
  // forgotten.
  std::vector<PageRead> due(Time now);
  // Something for the log: a page was found, proves unreadable, or another server's.
  std::optional<Event> ended(const PageEnded& page, Time now);

  // What is to be told now, gathered for a moment: endpoints may be many.
  std::vector<protocol::QueueReport> take(Time now);
  void forget() { news_.clear(); } // there is nobody to be told
  Time wake_at() const;
  std::size_t size() const { return watched_.size(); }

private:
  struct Watched {
    QueuePage page;
    std::uint32_t calls = 0, failures = 0; // in a row
    Duration every{};                      // at least, from look to look
    Time begun_at{}, next_at{Time::min()};
    bool reading = false, known = false; // it was readable once
    int soon = looks_soon;               // so many more looks come at once
    int missed = 0;                      // looks that did not find most of our calls
    double most = 0;                     // calls at the server that were ever told
    Time lacks_since = never;            // most of our calls are not among those of the page
    bool dropped = false;
  };
  static constexpr int looks_soon = 16, looks_missed_most = 50;

  Duration heard(Watched& watched, EndpointId endpoint, const QueueMetrics& metrics);
  std::optional<Event> drops(Watched& watched, const QueueMetrics& metrics, Time now);
  static Duration failed(Watched& watched, const PageEnded& page);

  std::map<EndpointId, Watched> watched_;
  std::map<EndpointId, protocol::QueueReport> news_;
  Time told_at_{Time::min()};
  bool urgent_ = false; // the news are
};

} // namespace gristmill::worker
