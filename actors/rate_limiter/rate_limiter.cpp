#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <tuple>

namespace gristmill::rate_limiter {
namespace {

constexpr auto no_endpoint_retry = std::chrono::milliseconds{500};
constexpr auto park_untold = std::chrono::seconds{1};
constexpr auto park_quota = std::chrono::seconds{60};
constexpr auto shun = std::chrono::seconds{10}; // an endpoint that refused a job, by that job
constexpr auto park_max = std::chrono::seconds{600};
constexpr std::string_view endpoint_fails = "the endpoint fails; it is tried again now and then";
constexpr auto look_for_idle_every = std::chrono::seconds{1};

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

AccountLimits limits_of(const EndpointSpec& e) {
  return {e.requests_per_minute, e.tokens_per_minute, e.max_in_flight, e.strict_tokens,
          e.token_counting == "reserved"};
}

AccountLimits stricter(const AccountLimits& a, const AccountLimits& b) {
  const auto least = [](auto x, auto y) { return x == 0 ? y : y == 0 ? x : std::min(x, y); };
  return {least(a.requests_per_minute, b.requests_per_minute),
          least(a.tokens_per_minute, b.tokens_per_minute), least(a.max_in_flight, b.max_in_flight),
          a.strict_tokens || b.strict_tokens, a.reserved_tokens || b.reserved_tokens};
}

// Where nothing but the bound counts, a call whose bound exceeds the whole window never goes.
bool never_fits(const AccountLimits& limits, std::uint64_t bound) {
  return limits.strict_tokens && limits.tokens_per_minute != 0 && bound > limits.tokens_per_minute;
}

std::string why_never(const std::vector<Endpoint*>& endpoints, std::uint64_t bound) {
  std::uint64_t most = 0;
  for (const Endpoint* e : endpoints) most = std::max(most, e->account->limits().tokens_per_minute);
  return fmt::format("expected a call within {} tokens per minute, which is what its endpoint "
                     "allows under strict_tokens, got one that may use {}; lower max_tokens, or "
                     "allow more",
                     most, bound);
}

std::string why_none_serves(const std::string& model, bool own, const EndpointBook& endpoints) {
  if (own) return "none of the job's endpoints is there";
  const auto& served = endpoints.served();
  if (!model.empty() && served.contains(model))
    return fmt::format("no endpoint that this worker reaches serves the model \"{}\"", model);
  if (served.empty()) return "no endpoint serves the job's model, and none any other";
  std::string others;
  for (const auto& [name, count] : served) {
    if (others.size() > limits::name_bytes_max) {
      others += ", …";
      break;
    }
    others += (others.empty() ? "" : ", ") + name;
  }
  if (model.empty())
    return fmt::format("the item names no model and several are served: {}", others);
  return fmt::format("no endpoint serves the model \"{}\"; served: {}", model, others);
}

} // namespace

Tokens reserved(const TokenReserve* reserve, const Account& account, std::uint64_t bound) {
  const AccountLimits& limits = account.limits();
  if (reserve == nullptr || limits.strict_tokens || limits.reserved_tokens) return bound;
  return reserve->of(bound, account.in_flight());
}

RateLimiter::AccountRef RateLimiter::account(const std::string& name, const AccountLimits& limits,
                                             Time now) {
  AccountRef& slot = accounts_[name];
  if (!slot) {
    slot = std::make_shared<Account>(name, limits, now);
    for (const auto& block : spent_)
      if (block.account == name) slot->assume_spent(block, now);
  }
  return slot;
}

void RateLimiter::recovered(const std::vector<journal::BlockNote>& blocks, Time now,
                            bool same_boot) {
  if (mutated("window_reset_on_restart")) return;
  spent_ = blocks;
  // The clock of another boot says nothing: its blocks count from now.
  if (!same_boot)
    for (auto& block : spent_) block.until = now;
}

void RateLimiter::endpoint_added(const EndpointOffer& offer, Time now) {
  AccountRef a = account(account_name(offer), limits_of(offer.endpoint), now);
  a->find_concurrency();
  const AccountRef before = endpoints_.add(offer, a);
  settle_limits(a, now);
  if (before && before != a) settle_limits(before, now);
}

void RateLimiter::endpoint_gone(EndpointId id, Time now) {
  if (const AccountRef account = endpoints_.remove(id)) settle_limits(account, now);
}

// Several may name one URL and key, each with limits of its own: the strictest of them hold. While
// nobody names it, the last ones stay.
void RateLimiter::settle_limits(const AccountRef& account, Time now) {
  std::optional<AccountLimits> strictest;
  for (const auto& [id, endpoint] : endpoints_.all()) {
    if (endpoint.account != account) continue;
    const AccountLimits limits = limits_of(endpoint.offer.endpoint);
    strictest = strictest ? stricter(*strictest, limits) : limits;
  }
  if (strictest && *strictest != account->limits()) account->set_limits(*strictest, now);
}

void RateLimiter::job_opened(const JobBudget& budget, Time now) {
  jobs_[budget.job] = {budget, account(to_string(budget.job), budget.limits, now), {}, {}};
}

void RateLimiter::job_changed(JobId id, const AccountLimits& limits, Time now) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  job->second.budget.limits = limits;
  job->second.account->set_limits(limits, now);
}

void RateLimiter::job_closed(JobId job) {
  jobs_.erase(job);
  for (auto& [name, account] : accounts_) account->forget(job);
}

std::vector<Endpoint*> RateLimiter::usable(const Job& job, const std::string& model,
                                           SessionId session) {
  if (job.budget.endpoints.empty()) return endpoints_.serving(model, session);
  std::vector<Endpoint*> own;
  for (const EndpointId id : job.budget.endpoints)
    if (Endpoint* endpoint = endpoints_.find(id)) own.push_back(endpoint);
  return own;
}

// Those that refused the job lately (wrong key, model or URL) are passed over while there are
// others: what refuses at once would else draw all calls to itself.
std::vector<Endpoint*> RateLimiter::willing(const Job& job, std::vector<Endpoint*> usable,
                                            Time now) {
  if (job.shunned.empty()) return usable;
  std::vector<Endpoint*> willing;
  for (Endpoint* endpoint : usable) {
    const auto shunned = job.shunned.find(endpoint->offer.id);
    if (shunned == job.shunned.end() || shunned->second <= now) willing.push_back(endpoint);
  }
  return willing.empty() ? usable : willing;
}

// The endpoint with the most headroom that lets the call go: the least loaded one, of equal ones
// that with the fewest calls in flight, of equal ones in turn. Else the earliest refusal.
RateLimiter::Choice RateLimiter::choose(const AcquireCall& call, SessionId session, Time now) {
  const auto job = jobs_.find(call.job);
  if (job == jobs_.end()) return {nullptr, now + no_endpoint_retry, "the job is not running"};
  const JobBudget& budget = job->second.budget;
  std::string model = call.model.empty() ? budget.model : call.model;
  // Who names no model gets the only one that there is.
  if (model.empty() && endpoints_.served().size() == 1) model = endpoints_.served().begin()->first;

  const auto learned = job->second.reserves.find(model);
  const TokenReserve* reserve =
      learned == job->second.reserves.end() ? nullptr : learned->second.get();
  const Tokens job_tokens = reserved(reserve, *job->second.account, call.token_bound);
  const auto refused = job->second.account->refuses(job_tokens, call.job, call.item, now);
  const std::vector<Endpoint*> served = usable(job->second, model, session);
  if (!served.empty() && std::all_of(served.begin(), served.end(), [&](const Endpoint* e) {
        return never_fits(e->account->limits(), call.token_bound);
      }))
    return {nullptr, never, why_never(served, call.token_bound), {}, {}, {}, true};

  Choice choice{nullptr, never, ""};
  std::tuple<double, std::uint32_t, std::uint64_t> least;
  const std::vector<Endpoint*> endpoints = willing(job->second, served, now);
  // When none has ever answered, the items shall fail and say why, not wait for what never was.
  const bool proved = std::any_of(endpoints.begin(), endpoints.end(), [](const Endpoint* endpoint) {
    return endpoint->account->breaker().proved();
  });
  for (Endpoint* endpoint : endpoints) {
    Account& account = *endpoint->account;
    if (const auto until = account.breaker().refuses(now); until && proved) {
      if (choice.endpoint == nullptr && *until < choice.until)
        choice = {nullptr, *until, std::string{endpoint_fails}};
      continue;
    }
    if (never_fits(account.limits(), call.token_bound)) {
      if (choice.why.empty()) choice.why = "too large for the endpoints that take calls now";
      if (choice.endpoint == nullptr)
        choice.until = std::min(choice.until, now + no_endpoint_retry);
      continue;
    }
    const Tokens tokens = reserved(reserve, account, call.token_bound);
    // Asked also when the job must wait: the blocks of both are then written together.
    if (const auto no = account.refuses(tokens, call.job, call.item, now)) {
      if (choice.endpoint == nullptr && no->until < choice.until)
        choice = {nullptr, no->until, std::string{no->why}};
      continue;
    }
    const std::tuple rank{account.load(now), account.in_flight(), endpoint->chosen_at};
    if (choice.endpoint == nullptr || rank < least) {
      choice.endpoint = endpoint;
      choice.endpoint_tokens = tokens;
      least = rank;
    }
  }
  if (refused) return {nullptr, refused->until, std::string{refused->why}};
  if (choice.endpoint == nullptr && choice.why.empty())
    choice = {nullptr, now + no_endpoint_retry,
              why_none_serves(model, !budget.endpoints.empty(), endpoints_)};
  if (choice.endpoint == nullptr) return choice;
  choice.endpoint->chosen_at = ++choices_;
  choice.job_tokens = job_tokens;
  choice.reserve = job->second.reserves[model];
  if (!choice.reserve)
    choice.reserve = job->second.reserves[model] = std::make_shared<TokenReserve>();
  return choice;
}

Granted RateLimiter::acquire(const Acquire& acquire, Time now) {
  Granted granted{acquire.session, acquire.nonce, {}, {}};
  for (const AcquireCall& call : acquire.calls) {
    // Once a job must wait for a model, its other calls of this question wait with it: a large call
    // that has to save up is not overtaken for ever by small ones.
    const auto waiting =
        std::find_if(granted.waits.begin(), granted.waits.end(),
                     [&](const Waiting& w) { return w.job == call.job && w.model == call.model; });
    if (waiting != granted.waits.end()) {
      waiting->calls.push_back(call.call);
      continue;
    }
    Choice choice = choose(call, acquire.session, now);
    if (choice.exceeds) {
      granted.exceeding.push_back({call.call, std::move(choice.why)});
      continue;
    }
    if (choice.endpoint == nullptr) {
      granted.waits.push_back(
          {{call.call}, call.job, ms_until(choice.until, now), std::move(choice.why), call.model});
      Waiting& refused = granted.waits.back();
      refused.reason = explain(call, acquire.session, choice.until, refused.why, now);
      continue;
    }
    Out out{choice.endpoint->account,
            jobs_.at(call.job).account,
            {},
            {},
            choice.endpoint->offer.id,
            call.job,
            std::move(choice.reserve),
            call.token_bound};
    std::uint64_t n = 0, unused = 0;
    const Duration life = out.endpoint->life();
    out.job_charge = out.job->draw(choice.job_tokens, now, unused, life);
    out.endpoint_charge = out.endpoint->draw(choice.endpoint_tokens, now, n, life);
    const Epoch epoch = mutated("attempt_id_reuse") ? Epoch{1} : epoch_;
    const AttemptId attempt = AttemptId::of(epoch, out.endpoint->block(), n);
    // Only where there is a window does a permit have to age.
    const bool ages = out.endpoint->limits().windows() || out.job->limits().windows();
    const auto life_ms = static_cast<std::uint32_t>(ages ? to_ms(life) : 0);
    granted.permits.push_back({call.call, attempt, choice.endpoint->offer.id, life_ms});
    granted.costs.push_back(out.endpoint->part_of_minute(choice.endpoint_tokens));
    out_.emplace(attempt, std::move(out));
  }
  return granted;
}

void RateLimiter::ended(const Ended& ended, Time now) {
  const auto it = out_.find(ended.attempt);
  if (it == out_.end()) return;
  const Out out = std::move(it->second);
  out_.erase(it);
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) {
    if (ended.how == Ended::How::too_late) out.endpoint->permit_came_too_late(now);
    out.endpoint->felt(out.endpoint_charge, OutcomeClass::unstarted, {}, now);
    out.endpoint->refund(out.endpoint_charge, now);
    if (out.job) out.job->refund(out.job_charge, now);
    return;
  }
  out.endpoint->permit_used();
  const bool lost = ended.how == Ended::How::lost;
  out.endpoint->felt(out.endpoint_charge, lost ? OutcomeClass::unstarted : ended.cls, ended.latency,
                     now);
  const bool told_to_wait = ended.cls == OutcomeClass::rate || ended.cls == OutcomeClass::ramp;
  std::optional<std::uint64_t> used;
  if (ended.how == Ended::How::answered && told_to_wait) used = 0;
  if (ended.how == Ended::How::answered && ended.usage.known) used = ended.usage.total();
  if (out.reserve && used && ended.cls == OutcomeClass::ok)
    out.reserve->learn(out.token_bound, *used, now - out.endpoint_charge.drawn_at);
  const bool all_charged = out.endpoint->limits().reserved_tokens && !told_to_wait;
  out.endpoint->settle(out.endpoint_charge, all_charged ? std::nullopt : used, now);
  if (out.job) out.job->settle(out.job_charge, used, now);
  if (const auto job = jobs_.find(out.job_id); job != jobs_.end()) {
    if (ended.cls == OutcomeClass::config) {
      job->second.shunned[out.endpoint_id] = now + shun;
    } else {
      job->second.shunned.erase(out.endpoint_id);
    }
  }
  // An account without credit is asked again now and then, not all the time.
  if (ended.cls == OutcomeClass::quota)
    out.endpoint->park(now + park_quota, "its account's quota or credit is used up", ended.attempt,
                       now);
  if (told_to_wait) {
    out.endpoint->refused(out.endpoint_charge, ended.tokens_refused,
                          ended.cls == OutcomeClass::ramp, now);
    const Duration told = std::chrono::milliseconds{ended.retry_after_ms};
    out.endpoint->park(
        now + (ended.retry_after_ms < 0 ? park_untold : std::min<Duration>(told, park_max)),
        "the endpoint asked us to wait", ended.attempt, now);
  }
}

void RateLimiter::claimed(const ClaimedCall& call) {
  const Endpoint* e = endpoints_.find(call.endpoint);
  if (e == nullptr || out_.contains(call.attempt)) return;
  const auto j = jobs_.find(call.job);
  Out out{e->account, j == jobs_.end() ? nullptr : j->second.account, {}, {}, call.endpoint,
          call.job};
  out.endpoint->occupy();
  if (out.job) out.job->occupy();
  out_.emplace(call.attempt, std::move(out));
}

void RateLimiter::durable(std::uint64_t block) {
  for (auto& [name, account] : accounts_) account->durable(block);
}

std::vector<journal::BlockNote> RateLimiter::reserve(Time now) {
  std::vector<journal::BlockNote> notes;
  forget_idle_accounts(now);
  for (auto& [name, account] : accounts_) {
    if (auto note = account->reserve(next_block_, now)) {
      ++next_block_;
      notes.push_back(std::move(*note));
    }
  }
  return notes;
}

// Accounts of closed jobs and of workers that have left, once nothing of theirs counts any more.
void RateLimiter::forget_idle_accounts(Time now) {
  if (now < idle_sought_at_ + look_for_idle_every) return;
  idle_sought_at_ = now;
  std::erase_if(accounts_, [now](const auto& entry) {
    return entry.second.use_count() == 1 && entry.second->is_idle(now);
  });
  std::erase_if(spent_, [now](const auto& block) {
    return std::min(block.until, now) +
               defaults::hold_of(defaults::minute_window, defaults::permit_life_max) <=
           now;
  });
}

std::uint32_t RateLimiter::in_flight(EndpointId id) const {
  const auto it = endpoints_.all().find(id);
  return it == endpoints_.all().end() ? 0 : it->second.account->in_flight();
}

EndpointStanding RateLimiter::standing(EndpointId id, Time now) const {
  const auto it = endpoints_.all().find(id);
  if (it == endpoints_.all().end()) return {};
  const Account& account = *it->second.account;
  EndpointStanding standing{account.limits(), account.in_flight(), account.slots(), 0, {}};
  if (account.parked_until() > now) {
    standing.parked_ms = to_ms(account.parked_until() - now);
    standing.why = account.parked_why();
  } else if (const auto until = account.breaker().refuses(now)) {
    standing.parked_ms = to_ms(*until - now);
    standing.why = endpoint_fails;
  }
  return standing;
}

} // namespace gristmill::rate_limiter
