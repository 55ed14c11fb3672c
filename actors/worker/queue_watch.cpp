#include "actors/worker/queue_watch.hpp"

#include "actors/worker/queue_metrics.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::worker {
namespace {

constexpr Duration every_least = std::chrono::seconds{1}, every_most = std::chrono::seconds{60};
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

void QueueWatch::call_began(EndpointId endpoint, const std::string& metrics_url) {
  Watched& watched = watched_[endpoint];
  watched.url = metrics_url;
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
  if (!watched.reading && watched.failures == 0) watched.next_at = watched.begun_at + watched.every;
}

std::vector<PageRead> QueueWatch::due(Time now) {
  std::vector<PageRead> reads;
  std::erase_if(watched_, [now](const auto& entry) {
    const Watched& watched = entry.second;
    return watched.calls == 0 && !watched.reading && watched.next_at + forgotten_after <= now;
  });
  for (auto& [endpoint, watched] : watched_) {
    if (watched.calls == 0 || watched.reading || now < watched.next_at) continue;
    watched.reading = true;
    watched.begun_at = now;
    reads.push_back({endpoint, watched.url, page_timeout});
  }
  return reads;
}

std::optional<Event> QueueWatch::ended(const PageEnded& page, Time now) {
  const auto it = watched_.find(page.endpoint);
  if (it == watched_.end() || !it->second.reading) return std::nullopt;
  Watched& watched = it->second;
  watched.reading = false;
  const auto metrics = page.http_status == 200 ? queue_metrics(page.body) : std::nullopt;
  watched.failures = metrics ? 0 : watched.failures + 1;
  Duration pause = std::max(watched.every, every_least);
  if (!metrics)
    pause =
        std::max<Duration>(pause, every_least * (1u << std::min(watched.failures, doublings_most)));
  watched.next_at = std::max(watched.begun_at + pause, now);
  if (metrics) {
    watched.known = true;
    news_[page.endpoint] = {page.endpoint, metrics->waiting, metrics->running};
    return std::nullopt;
  }
  // A page that was readable may be busy for a moment.
  if (watched.failures != (watched.known ? failures_of_concern : 1)) return std::nullopt;
  return Event{"metrics.unreadable", {{"url", watched.url}, {"why", why_unreadable(page)}}, true};
}

std::vector<protocol::QueueReport> QueueWatch::take(Time now) {
  if (news_.empty() || (told_at_ != Time::min() && now < told_at_ + gather)) return {};
  told_at_ = now;
  std::vector<protocol::QueueReport> reports;
  for (const auto& [endpoint, report] : news_) reports.push_back(report);
  news_.clear();
  return reports;
}

Time QueueWatch::wake_at() const {
  Time at = never;
  if (!news_.empty()) at = told_at_ == Time::min() ? told_at_ : told_at_ + gather;
  for (const auto& [endpoint, watched] : watched_)
    if (watched.calls > 0 && !watched.reading) at = std::min(at, watched.next_at);
  return at;
}

} // namespace gristmill::worker
