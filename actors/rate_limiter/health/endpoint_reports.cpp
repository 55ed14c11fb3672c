#include "actors/rate_limiter/health/endpoint_reports.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr auto park_untold = std::chrono::seconds{1};
constexpr auto park_max = std::chrono::seconds{600};

bool told_to_wait(const Ended& ended) {
  return ended.cls == OutcomeClass::rate || ended.cls == OutcomeClass::ramp;
}

// Of a lost call, and of an item whose fault its worker found by itself, nothing.
ServerHealth::End said_by_server(const Ended& ended) {
  ServerHealth::End end;
  const OutcomeClassInfo& about = info(ended.cls);
  const bool asked =
      ended.http_status != 0 || about.fault != Fault::item || about.news != EndpointNews::answered;
  if (ended.how != Ended::How::lost && asked)
    end = {ended.cls, ended.latency, 2 * ended.usage.cached > ended.usage.prompt};
  if (ended.retry_after_ms >= 0) end.told = std::chrono::milliseconds{ended.retry_after_ms};
  return end;
}

} // namespace

void EndpointReports::opened(Account& account, Time now) {
  account.health().find_concurrency(account.limits().max_in_flight, found_.of(account.name()), now);
  account.packs().was_found(found_.inputs_of(account.name()));
}

EndpointReports::Said EndpointReports::ended(Account& account, const Charge& charge,
                                             const Ended& ended, Time now) {
  account.permit_life().used();
  const ServerHealth::End end = said_by_server(ended);
  account.felt(charge, end, now);
  look_at_found(account);
  if (account.health().quota().is_closed()) without_credit_.insert(account.name());
  account.advertised(charge, ended.limits, now);
  const bool at_once = ended.how == Ended::How::answered &&
                       account.health().refuses_at_once(ended.cls, ended.latency, now);
  return {info(end.cls).news, told_to_wait(ended) || at_once};
}

void EndpointReports::refused(Account& account, const Charge& charge, const Ended& ended,
                              Time now) {
  if (!told_to_wait(ended)) return account.perhaps_refused(charge, ended.tokens_refused, now);
  account.refused(charge, ended.tokens_refused, ended.cls == OutcomeClass::ramp, now);
  const Duration told = std::chrono::milliseconds{ended.retry_after_ms};
  account.park(now + (ended.retry_after_ms < 0 ? park_untold : std::min<Duration>(told, park_max)),
               "the endpoint asked us to wait", ended.attempt, now);
}

void EndpointReports::queue_told(Account& account, const protocol::QueueReport& report, Time now) {
  account.health().queue_told(report, account.in_flight(), now);
  look_at_found(account);
}

void EndpointReports::look_at_found(Account& account) {
  if (const auto found = account.health().found_news()) found_.heard(account.name(), *found);
}

void EndpointReports::credit_may_be_back(const AccountDirectory& accounts) {
  for (const std::string& name : std::exchange(without_credit_, {})) {
    const auto account = accounts.find(name);
    if (!account || !account->health().quota().is_closed()) continue;
    account->health().ask_quota_at_once();
    without_credit_.insert(name);
  }
}

} // namespace gristmill::rate_limiter
