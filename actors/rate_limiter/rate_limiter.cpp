#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/check.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr auto no_endpoint_retry = std::chrono::milliseconds{500};
constexpr auto park_untold = std::chrono::seconds{1};
constexpr auto park_quota = std::chrono::seconds{60};
constexpr auto park_max = std::chrono::seconds{600};

std::uint32_t ms_until(Time until, Time now) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, 5'000));
}

std::string account_name(const EndpointOffer& offer) {
  const EndpointSpec& e = offer.endpoint;
  const std::string key = e.api_key_env.empty() ? e.api_key_file : e.api_key_env;
  // An announced endpoint is its worker's own: the same URL elsewhere is another server.
  if (offer.only) return fmt::format("endpoint:{}|{}|{}", e.url, key, offer.id.value);
  return fmt::format("endpoint:{}|{}", e.url, key);
}

} // namespace

Account& RateLimiter::account(const std::string& name, const AccountLimits& limits, Time now) {
  auto& slot = accounts_[name];
  if (!slot) {
    slot = std::make_unique<Account>(name, limits, now);
    for (const auto& block : spent_)
      if (block.account == name) slot->assume_spent(block, now);
  }
  return *slot;
}

void RateLimiter::recovered(const std::vector<journal::BlockNote>& blocks, Time now, bool same_boot) {
  spent_ = blocks;
  // The clock of another boot says nothing: its blocks count from now.
  if (!same_boot)
    for (auto& block : spent_) block.until = now;
}

void RateLimiter::endpoint_added(const EndpointOffer& offer, Time now) {
  const EndpointSpec& e = offer.endpoint;
  Account& a = account(account_name(offer),
                       {e.requests_per_minute, e.tokens_per_minute, e.max_in_flight}, now);
  endpoints_[offer.id] = {offer, &a};
}

void RateLimiter::endpoint_gone(EndpointId id) { endpoints_.erase(id); }

void RateLimiter::job_opened(const JobBudget& budget, Time now) {
  Account& a = account(to_string(budget.job), budget.limits, now);
  jobs_[budget.job] = {budget, &a};
}

void RateLimiter::job_closed(JobId job) {
  jobs_.erase(job);
  for (auto& [name, account] : accounts_) account->forget(job);
}

bool RateLimiter::may_use(const Endpoint& endpoint, const Job& job, SessionId session) const {
  if (endpoint.offer.only && endpoint.offer.only != session) return false;
  const auto& own = job.budget.endpoints;
  if (!own.empty()) return std::find(own.begin(), own.end(), endpoint.offer.id) != own.end();
  // An endpoint without a model is some job's own.
  if (endpoint.offer.model.empty()) return false;
  return job.budget.model.empty() || endpoint.offer.model == job.budget.model;
}

RateLimiter::Endpoint* RateLimiter::choose(const Job& job, SessionId session,
                                           const AcquireCall& call, Time now, Refusal& refusal) {
  Endpoint* best = nullptr;
  refusal = {now + no_endpoint_retry, "no endpoint serves the job's model"};
  bool refused = false;
  for (auto& [id, endpoint] : endpoints_) {
    if (!may_use(endpoint, job, session)) continue;
    const auto no = endpoint.account->refuses(call.token_bound, call.job, call.item, now);
    if (no) {
      if (!refused || no->until < refusal.until) refusal = *no;
      refused = true;
    } else if (best == nullptr || endpoint.account->in_flight() < best->account->in_flight()) {
      best = &endpoint;
    }
  }
  return best;
}

Granted RateLimiter::acquire(const Acquire& acquire, Time now) {
  Granted granted{acquire.session, acquire.nonce, {}, {}};
  for (const AcquireCall& call : acquire.calls) {
    // Once a job must wait, its other calls of this question wait with it: a large call that has to
    // save up is not overtaken for ever by small ones.
    const auto waiting = std::find_if(granted.waits.begin(), granted.waits.end(),
                                      [&](const Waiting& w) { return w.job == call.job; });
    if (waiting != granted.waits.end()) {
      waiting->calls.push_back(call.call);
      continue;
    }
    const auto job = jobs_.find(call.job);
    Refusal refusal{now + no_endpoint_retry, "the job is not running"};
    Endpoint* endpoint = nullptr;
    if (job != jobs_.end()) {
      if (auto no = job->second.account->refuses(call.token_bound, call.job, call.item, now)) {
        refusal = *no;
        // The endpoint's block is wanted too: both are then written together.
        Refusal unused;
        choose(job->second, acquire.session, call, now, unused);
      } else {
        endpoint = choose(job->second, acquire.session, call, now, refusal);
      }
    }
    if (endpoint == nullptr) {
      granted.waits.push_back(
          {{call.call}, call.job, ms_until(refusal.until, now), std::string{refusal.why}});
      continue;
    }
    Out out{endpoint->account, job->second.account, {}, {}};
    std::uint64_t n = 0, unused = 0;
    const Duration life = out.endpoint->life();
    out.job_charge = out.job->draw(call.token_bound, now, unused, life);
    out.endpoint_charge = out.endpoint->draw(call.token_bound, now, n, life);
    const AttemptId attempt = AttemptId::of(epoch_, out.endpoint->block(), n);
    // Only where there is a window does a permit have to age.
    const bool ages = out.endpoint->limits().windows() || out.job->limits().windows();
    const auto life_ms = static_cast<std::uint32_t>(ages ? to_ms(life) : 0);
    granted.permits.push_back({call.call, attempt, endpoint->offer.id, life_ms});
    out_.emplace(attempt, out);
  }
  return granted;
}

void RateLimiter::ended(const Ended& ended, Time now) {
  const auto it = out_.find(ended.attempt);
  if (it == out_.end()) return;
  const Out out = it->second;
  out_.erase(it);
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) {
    if (ended.how == Ended::How::too_late) out.endpoint->permit_came_too_late(now);
    out.endpoint->refund(out.endpoint_charge, now);
    if (out.job) out.job->refund(out.job_charge, now);
    return;
  }
  out.endpoint->permit_used();
  std::optional<std::uint64_t> used;
  if (ended.how == Ended::How::answered && ended.usage.known) used = ended.usage.total();
  out.endpoint->settle(out.endpoint_charge, used, now);
  if (out.job) out.job->settle(out.job_charge, used, now);
  // An account without credit is asked again now and then, not all the time.
  if (ended.cls == OutcomeClass::quota) out.endpoint->park(now + park_quota);
  const bool told_to_wait = ended.cls == OutcomeClass::rate || ended.cls == OutcomeClass::ramp;
  if (told_to_wait) {
    const Duration told = std::chrono::milliseconds{ended.retry_after_ms};
    out.endpoint->park(now + (ended.retry_after_ms < 0 ? park_untold
                                                       : std::min<Duration>(told, park_max)));
  }
}

void RateLimiter::claimed(const ClaimedCall& call) {
  const auto e = endpoints_.find(call.endpoint);
  if (e == endpoints_.end() || out_.contains(call.attempt)) return;
  const auto j = jobs_.find(call.job);
  Out out{e->second.account, j == jobs_.end() ? nullptr : j->second.account, {}, {}};
  out.endpoint->occupy();
  if (out.job) out.job->occupy();
  out_.emplace(call.attempt, out);
}

void RateLimiter::durable(std::uint64_t block) {
  for (auto& [name, account] : accounts_) account->durable(block);
}

std::vector<journal::BlockNote> RateLimiter::reserve(Time now) {
  std::vector<journal::BlockNote> notes;
  for (auto& [name, account] : accounts_) {
    if (auto note = account->reserve(next_block_, now)) {
      ++next_block_;
      notes.push_back(std::move(*note));
    }
  }
  return notes;
}

std::uint32_t RateLimiter::in_flight(EndpointId id) const {
  const auto it = endpoints_.find(id);
  return it == endpoints_.end() ? 0 : it->second.account->in_flight();
}

} // namespace gristmill::rate_limiter
