#include "actors/worker/queue_watch.hpp"

#include "actors/worker/queue_metrics.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::worker {
namespace {

constexpr Duration every_least = std::chrono::seconds{1}, every_most = std::chrono::seconds{60};
constexpr Duration soon = std::chrono::milliseconds{15};
constexpr Duration looked_for_every = std::chrono::seconds{60}; // while there is none
constexpr std::size_t looked_for_bytes_max = 1 << 20;
constexpr double more = 1.1; // calls than ever before
// One that has so few of our calls for so long is of one server among several behind an address.
constexpr double of_ours_least = 0.5;
constexpr Duration lacks_most = std::chrono::seconds{30};
// Longer than any pause, so that who comes back soon does not look before it should.
constexpr Duration forgotten_after = std::chrono::minutes{2};
constexpr auto page_timeout = std::chrono::seconds{2};
constexpr auto gather = std::chrono::milliseconds{100};
constexpr std::uint32_t doublings_most = 5; // of the time between two looks
constexpr std::uint32_t failures_of_concern = 3;

std::string why_unreadable(const PageEnded& page) {
  if (page.http_status == 0) return page.message;
  if (page.http_status != 200) return fmt::format("expected status 200, got {}", page.http_status);
  return fmt::format("expected one of {}, got none of them", names_of_waiting());
}

} // namespace

void QueueWatch::call_began(EndpointId endpoint, QueuePage page) {
  Watched& watched = watched_[endpoint];
  watched.page = std::move(page);
  ++watched.calls;
}

void QueueWatch::call_ended(EndpointId endpoint) {
  const auto it = watched_.find(endpoint);
  if (it != watched_.end() && it->second.calls > 0) --it->second.calls;
}

void QueueWatch::pause(const protocol::ReadPause& pause) {
  const auto it = watched_.find(pause.endpoint);
  if (it == watched_.end()) return;
  Watched& watched = it->second;
  const Duration told = std::chrono::milliseconds{pause.ms};
  watched.every = std::clamp(told, every_least, every_most);
  if (!watched.reading && watched.failures == 0 && watched.soon == 0)
    watched.next_at = watched.begun_at + watched.every;
}

std::vector<PageRead> QueueWatch::due(Time now) {
  std::vector<PageRead> reads;
  std::erase_if(watched_, [now](const auto& entry) {
    const Watched& watched = entry.second;
    return watched.calls == 0 && !watched.reading && watched.next_at + forgotten_after <= now;
  });
  for (auto& [endpoint, watched] : watched_) {
    if (watched.calls == 0 || watched.reading || watched.dropped || now < watched.next_at) continue;
    watched.reading = true;
    watched.begun_at = now;
    reads.push_back({endpoint, watched.page.url, page_timeout,
                     watched.page.looked_for ? looked_for_bytes_max : 0,
                     watched.page.in_our_network});
  }
  return reads;
}

std::optional<Event> QueueWatch::ended(const PageEnded& page, Time now) {
  const auto it = watched_.find(page.endpoint);
  if (it == watched_.end() || !it->second.reading) return std::nullopt;
  Watched& watched = it->second;
  watched.reading = false;
  const auto metrics =
      page.http_status == 200 ? queue_metrics(page.body, watched.page.model) : std::nullopt;
  const Duration pause = metrics ? heard(watched, page.endpoint, *metrics) : failed(watched, page);
  watched.next_at = std::max(watched.begun_at + pause, now);
  if (metrics) {
    const bool found = !std::exchange(watched.known, true) && watched.page.looked_for;
    if (auto dropped = drops(watched, *metrics, now)) return dropped;
    if (found) return Event{"metrics.found", {{"url", watched.page.url}}};
    return std::nullopt;
  }
  // A page that was readable may be busy for a moment; and of one that nobody named nobody hears.
  if (watched.page.looked_for || watched.failures != (watched.known ? failures_of_concern : 1))
    return std::nullopt;
  return Event{
      "metrics.unreadable", {{"url", watched.page.url}, {"why", why_unreadable(page)}}, true};
}

// Returns when it is looked at again, here and below.
Duration QueueWatch::heard(Watched& watched, EndpointId endpoint, const QueueMetrics& metrics) {
  watched.failures = 0;
  const double calls = static_cast<double>(metrics.waiting) +
                       static_cast<double>(std::max<std::int64_t>(metrics.running, 0));
  if (metrics.waiting > 0) {
    watched.soon = 0;
  } else if (calls > more * watched.most) {
    watched.most = calls;
    watched.soon = looks_soon;
  } else if (calls < of_ours_least * watched.calls && watched.missed < looks_missed_most) {
    ++watched.missed; // our first calls are on their way: they will be there in a moment
  } else {
    watched.soon = std::max(watched.soon - 1, 0);
  }
  news_[endpoint] = {endpoint, metrics.waiting, metrics.running};
  urgent_ |= watched.soon > 0;
  return watched.soon > 0 ? soon : std::max(watched.every, every_least);
}

Duration QueueWatch::failed(Watched& watched, const PageEnded& page) {
  ++watched.failures;
  const Duration pause = std::max(watched.every, every_least);
  if (watched.page.looked_for && page.http_status != 0 && !watched.known)
    return std::max(pause, looked_for_every);
  return std::max<Duration>(pause,
                            every_least * (1u << std::min(watched.failures, doublings_most)));
}

std::optional<Event> QueueWatch::drops(Watched& watched, const QueueMetrics& metrics, Time now) {
  if (!watched.page.looked_for || metrics.running < 0) return std::nullopt;
  const double told = static_cast<double>(metrics.waiting) + static_cast<double>(metrics.running);
  if (told >= of_ours_least * watched.calls) {
    watched.lacks_since = never;
    return std::nullopt;
  }
  watched.lacks_since = std::min(watched.lacks_since, now);
  if (now < watched.lacks_since + lacks_most) return std::nullopt;
  watched.dropped = true;
  return Event{
      "metrics.dropped",
      {{"url", watched.page.url},
       {"why", fmt::format("expected our {} calls on it, it tells of {:.0f}: it seems to be "
                           "one server's of several",
                           watched.calls, told)}},
      true};
}

std::vector<protocol::QueueReport> QueueWatch::take(Time now) {
  if (news_.empty() || (!urgent_ && told_at_ != Time::min() && now < told_at_ + gather)) return {};
  told_at_ = now;
  urgent_ = false;
  std::vector<protocol::QueueReport> reports;
  for (const auto& [endpoint, report] : news_) reports.push_back(report);
  news_.clear();
  return reports;
}

Time QueueWatch::wake_at() const {
  Time at = never;
  if (!news_.empty()) at = urgent_ || told_at_ == Time::min() ? Time::min() : told_at_ + gather;
  for (const auto& [endpoint, watched] : watched_)
    if (watched.calls > 0 && !watched.reading && !watched.dropped)
      at = std::min(at, watched.next_at);
  return at;
}

} // namespace gristmill::worker
