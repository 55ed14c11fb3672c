#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr auto park_untold = std::chrono::seconds{1};
constexpr auto shun = std::chrono::seconds{10}; // an endpoint that refused a job, by that job
constexpr auto park_max = std::chrono::seconds{600};

std::uint32_t ms_until(Time until, Time now) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, 5'000));
}

std::string why_never(const std::vector<Endpoint*>& endpoints, std::uint64_t bound) {
  std::uint64_t minute = 0, day = 0;
  for (const Endpoint* e : endpoints) {
    minute = std::max(minute, e->account->limits().tokens_per_minute);
    day = std::max(day, e->account->limits().tokens_per_day);
  }
  const bool of_day = minute == 0 || bound <= minute;
  return fmt::format("expected a call within {} tokens per {}, which is what its endpoint "
                     "allows under strict_tokens, got one that may use {}; lower max_tokens, or "
                     "allow more",
                     of_day ? day : minute, of_day ? "day" : "minute", bound);
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

void RateLimiter::job_opened(const JobBudget& budget, Time now) {
  Job& job = jobs_[budget.job];
  job = {budget, account(to_string(budget.job), budget.limits, now), {}, {}, std::move(job.asked)};
  job.account->needs_no_numbers();
  for (const auto& note : std::exchange(job.budget.learned, {}))
    if (auto learned = TokenReserve::of_note(note.tokens))
      job.reserves[note.model] = std::make_shared<TokenReserve>(std::move(*learned));
  money_.opened(budget);
}

void RateLimiter::job_changed(JobId id, const AccountLimits& limits, Time now) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  job->second.budget.limits = limits;
  job->second.account->set_limits(limits, now);
  touched(job->second.account);
}

void RateLimiter::share_changed(JobId id, const Share& share) {
  if (const auto job = jobs_.find(id); job != jobs_.end()) job->second.budget.share = share;
}

void RateLimiter::job_closed(JobId id) {
  marks_.forget(id);
  money_.closed(id);
  const auto job = jobs_.extract(id);
  if (!job) return;
  for (const auto& asked : job.mapped().asked)
    if (const AccountRef account = asked.lock()) account->forget(id);
  job.mapped().account->forget(id);
  leaving_.set(job.mapped().account->name(), Time::min());
}

void RateLimiter::job_resumed(const JobResumed& job) {
  money_.resumed(job);
  for (const std::string& name : std::exchange(without_credit_, {}))
    if (const auto it = accounts_.find(name);
        it != accounts_.end() && it->second->quota().is_closed()) {
      it->second->quota().ask_at_once();
      without_credit_.insert(name);
    }
}

// An item may name any model: beyond so many they share what is learned.
std::shared_ptr<TokenReserve> RateLimiter::reserve_of(Job& job, const std::string& model) {
  const bool new_one = !job.reserves.contains(model);
  const bool shares = new_one && job.reserves.size() >= limits::learned_models_max;
  std::shared_ptr<TokenReserve>& kept = job.reserves[shares ? std::string{} : model];
  if (!kept) kept = std::make_shared<TokenReserve>();
  return kept;
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

RateLimiter::Placed RateLimiter::place(const AcquireCall& call, SessionId session, Time now) {
  const auto waits = [](Time until, std::string why) {
    return Placed{{nullptr, {}, until, std::move(why), false}, {}, {}, false};
  };
  const auto job = jobs_.find(call.job);
  if (job == jobs_.end()) return waits(now + no_endpoint_retry, "the job is not running");
  const JobBudget& budget = job->second.budget;
  std::string model = call.model.empty() ? budget.model : call.model;
  // Who names no model gets the only one that there is.
  if (model.empty() && endpoints_.served().size() == 1) model = endpoints_.served().begin()->first;

  const auto learned = job->second.reserves.find(model);
  const TokenReserve* reserve =
      learned == job->second.reserves.end() ? nullptr : learned->second.get();
  touched(job->second.account);
  const Tokens job_tokens = tokens_of(reserve, *job->second.account, call.token_bound);
  auto refused = job->second.account->refuses(job_tokens, now);
  if (const bool marked = marks_.covers(call.job, call.item); !refused && !marked)
    refused = Refusal{now + block_retry, block_being_written, WaitKind::journal};
  MoneyBook::Answer money = money_.ask(call, model);
  if (!money.exceeds.empty()) {
    Placed placed = waits(never, std::move(money.exceeds));
    placed.exceeds = true;
    return placed;
  }
  const std::vector<Endpoint*> served = usable(job->second, model, session);
  if (!served.empty() && std::all_of(served.begin(), served.end(), [&](const Endpoint* e) {
        return never_fits(e->account->limits(), call.token_bound);
      })) {
    Placed placed = waits(never, why_never(served, call.token_bound));
    placed.exceeds = true;
    return placed;
  }
  for (Endpoint* endpoint : served) {
    touched(endpoint->account);
    if (!endpoint->account->knows(call.job)) job->second.asked.push_back(endpoint->account);
    endpoint->account->turns().asks(call.job, budget.share, session, now);
  }
  // Asked also when the job must wait: the blocks of both are then written together.
  Choice where = choose_endpoint(willing(job->second, served, now), call, reserve, prefixes_, now);
  if (refused || money.refusal) // whatever the endpoints say, nobody has to wait for it
    for (Endpoint* endpoint : served) endpoint->account->turns().leaves(call.job, session);
  if (refused) return waits(refused->until, std::string{refused->why});
  if (const auto& no = money.refusal) {
    Placed placed = waits(now + no->wait, std::string{no->why});
    placed.stop = money.stop;
    return placed;
  }
  if (where.endpoint == nullptr && where.why.empty())
    return waits(now + no_endpoint_retry,
                 why_none_serves(model, !budget.endpoints.empty(), endpoints_));
  Placed placed{std::move(where)};
  if (placed.where.endpoint == nullptr) {
    const auto asks_at = now + std::chrono::milliseconds{ms_until(placed.where.until, now)};
    for (Account* account : placed.where.refused_by)
      account->turns().waits(call.job, session, asks_at);
    return placed;
  }
  placed.where.endpoint->chosen_at = ++choices_;
  placed.reserve = reserve_of(job->second, model);
  placed.job_tokens = job_tokens;
  placed.money = std::move(money.charge);
  return placed;
}

Granted RateLimiter::acquire(const Acquire& acquire, Time now) {
  Granted granted{acquire.session, acquire.nonce, {}, {}};
  for (const AcquireCall& call : acquire.calls) {
    // Once a job must wait for a model, its other calls of this question wait with it: a large call
    // that has to save up is not overtaken for ever by small ones.
    const auto waiting =
        std::find_if(granted.waits.begin(), granted.waits.end(), [&](const Waiting& w) {
          return w.job == call.job && w.model == call.model &&
                 (w.prefix == 0 || w.prefix == call.prefix);
        });
    if (waiting != granted.waits.end()) {
      waiting->calls.push_back(call.call);
      continue;
    }
    Placed placed = place(call, acquire.session, now);
    Choice& where = placed.where;
    if (placed.stop) granted.stops.push_back(std::move(*placed.stop));
    if (placed.exceeds) {
      granted.exceeding.push_back({call.call, std::move(where.why)});
    } else if (where.endpoint == nullptr) {
      granted.waits.push_back({{call.call},
                               call.job,
                               ms_until(where.until, now),
                               std::move(where.why),
                               call.model,
                               where.of_its_prefix ? call.prefix : 0});
      Waiting& refused = granted.waits.back();
      refused.reason = explain(call, acquire.session, where.until, refused.why, now);
    } else {
      granted.most_nano_usd.push_back(placed.money.most);
      granted.permits.push_back(permit(call, std::move(placed), now));
    }
  }
  return granted;
}

protocol::Permit RateLimiter::permit(const AcquireCall& call, Placed placed, Time now) {
  const Endpoint& endpoint = *placed.where.endpoint;
  Out out{endpoint.account,
          jobs_.at(call.job).account,
          {},
          {},
          endpoint.offer.id,
          call.job,
          std::move(placed.reserve),
          call.token_bound,
          endpoint.offer.prefix_affinity ? call.prefix : 0,
          std::move(placed.money)};
  std::uint64_t n = 0, unused = 0;
  const Duration life = out.endpoint->life();
  out.job_charge = out.job->draw(placed.job_tokens, now, unused, life);
  out.endpoint_charge = out.endpoint->draw(placed.where.tokens, now, n, life);
  money_.drawn(out.money);
  out.endpoint->turns().served(call.job, out.endpoint->part_of_minute(placed.where.tokens));
  if (out.prefix != 0) prefixes_.went(out.prefix, out.endpoint_id, now);
  const Epoch epoch = mutated("attempt_id_reuse") ? Epoch{1} : epoch_;
  const AttemptId attempt = AttemptId::of(epoch, out.endpoint->block(), n);
  // Only where there is a window does a permit have to age.
  const bool ages = out.endpoint->limits().windows() || out.job->limits().windows();
  const protocol::Permit permit{call.call, attempt, out.endpoint_id,
                                static_cast<std::uint32_t>(ages ? to_ms(life) : 0)};
  out_.emplace(attempt, std::move(out));
  return permit;
}

void RateLimiter::ended(const Ended& ended, Time now) {
  money_.ended_earlier(ended);
  const auto it = out_.find(ended.attempt);
  if (it == out_.end()) return;
  const Out out = std::move(it->second);
  out_.erase(it);
  money_.ended(out.money, ended);
  touched(out.endpoint);
  if (out.job) touched(out.job);
  if (out.prefix != 0)
    prefixes_.ended(out.prefix, out.endpoint_id,
                    ended.how == Ended::How::answered && ended.cls == OutcomeClass::ok);
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) {
    if (ended.how == Ended::How::too_late) out.endpoint->permit_came_too_late(now);
    out.endpoint->felt(out.endpoint_charge, OutcomeClass::unstarted, {}, now);
    out.endpoint->refund(out.endpoint_charge, now);
    if (out.job) out.job->refund(out.job_charge, now);
    return;
  }
  out.endpoint->permit_used();
  const bool lost = ended.how == Ended::How::lost;
  const bool from_cache = 2 * ended.usage.cached > ended.usage.prompt;
  out.endpoint->felt(out.endpoint_charge, lost ? OutcomeClass::unstarted : ended.cls, ended.latency,
                     now, from_cache);
  if (out.endpoint->quota().is_closed()) without_credit_.insert(out.endpoint->name());
  out.endpoint->advertised(out.endpoint_charge, ended.limits, now);
  const bool told_to_wait = ended.cls == OutcomeClass::rate || ended.cls == OutcomeClass::ramp;
  std::optional<std::uint64_t> used;
  if (ended.how == Ended::How::answered && told_to_wait) used = 0;
  if (ended.how == Ended::How::answered && ended.usage.known) used = ended.usage.total();
  if (out.reserve && used && ended.cls == OutcomeClass::ok) {
    out.reserve->learn(out.token_bound, *used, now - out.endpoint_charge.drawn_at);
    if (out.reserve->has_news()) learned_.insert(out.job_id);
  }
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
  if (told_to_wait) {
    out.endpoint->refused(out.endpoint_charge, ended.tokens_refused,
                          ended.cls == OutcomeClass::ramp, now);
    const Duration told = std::chrono::milliseconds{ended.retry_after_ms};
    out.endpoint->park(
        now + (ended.retry_after_ms < 0 ? park_untold : std::min<Duration>(told, park_max)),
        "the endpoint asked us to wait", ended.attempt, now);
  }
}

void RateLimiter::queue_told(const protocol::QueueReport& report, Time now) {
  if (const Endpoint* endpoint = endpoints_.find(report.endpoint))
    endpoint->account->queue_told(report, now);
}

void RateLimiter::claimed(const ClaimedCall& call) {
  money_.claimed(call);
  if (call.has_ended) return; // it takes no slot
  const Endpoint* e = endpoints_.find(call.endpoint);
  if (e == nullptr || out_.contains(call.attempt)) return;
  const auto j = jobs_.find(call.job);
  Out out{e->account, j == jobs_.end() ? nullptr : j->second.account, {}, {}, call.endpoint,
          call.job};
  out.endpoint->occupy();
  if (out.job) out.job->occupy();
  out_.emplace(call.attempt, std::move(out));
}

} // namespace gristmill::rate_limiter
