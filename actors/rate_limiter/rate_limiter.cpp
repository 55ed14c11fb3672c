#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/check.hpp"
#include "actors/kit/mutant.hpp"
#include "protocol/limits.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::rate_limiter {
namespace {

constexpr auto park_untold = std::chrono::seconds{1};
constexpr auto park_max = std::chrono::seconds{600};

std::uint32_t ms_until(Time until, Time now) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, 5'000));
}

// Names a window that the call exceeds at each of them: the largest one.
std::string why_never(const std::vector<Endpoint*>& endpoints, const TokenBound& bound) {
  struct Window {
    std::string_view name;
    std::uint64_t RateLimits::*most;
    std::uint64_t bound;
  };
  const Window windows[]{
      {"tokens per minute", &RateLimits::tokens_per_minute, bound.all},
      {"tokens per day", &RateLimits::tokens_per_day, bound.all},
      {"input tokens per minute", &RateLimits::input_tokens_per_minute, bound.input()},
      {"output tokens per minute", &RateLimits::output_tokens_per_minute, bound.output}};
  for (const Window& window : windows) {
    std::uint64_t most = 0;
    for (const Endpoint* e : endpoints) most = std::max(most, e->account->limits().*window.most);
    if (most == 0 || window.bound <= most) continue;
    return fmt::format("expected a call within {} {}, which is what its endpoint allows under "
                       "strict_tokens, got one that may use {}; lower max_tokens, or allow more",
                       most, window.name, window.bound);
  }
  return "expected a call within what its endpoints allow under strict_tokens, got one that "
         "exceeds "
         "another window at each of them; lower max_tokens, or allow more";
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

void RateLimiter::job_changed(JobId id, const RateLimits& limits, Time now) {
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

std::vector<Endpoint*> RateLimiter::usable(const Job& job, const std::string& model,
                                           SessionId session) {
  if (job.budget.endpoints.empty()) return endpoints_.serving(model, session);
  std::vector<Endpoint*> own;
  for (const EndpointId id : job.budget.endpoints)
    if (Endpoint* endpoint = endpoints_.find(id)) own.push_back(endpoint);
  return own;
}

RateLimiter::Placed RateLimiter::place(const AcquireCall& call, SessionId session, Time now) {
  const auto waits = [](WaitReason reason) { return Placed{{.reason = std::move(reason)}}; };
  const auto waits_for = [&](WaitKind kind, Time until, std::string because) {
    return waits({.kind = kind, .until = until, .because = std::move(because)});
  };
  const auto job = jobs_.find(call.job);
  if (job == jobs_.end())
    return waits_for(WaitKind::budget, now + no_endpoint_retry, "the job is not running");
  const JobBudget& budget = job->second.budget;
  std::string model = call.model.empty() ? budget.model : call.model;
  // Who names no model gets the only one that there is.
  if (model.empty() && endpoints_.served().size() == 1) model = endpoints_.served().begin()->first;

  const TokenLearners learned = learned_of(job->second, model);
  const TokenBound bound = TokenBound::of(call);
  touched(job->second.account);
  const Tokens job_tokens = tokens_of(learned, *job->second.account, bound).all;
  auto refused = job->second.account->refuses(job_tokens, now);
  if (const bool marked = marks_.covers(call.job, call.item); !refused && !marked)
    refused = WaitReason{.kind = WaitKind::journal,
                         .until = now + block_retry,
                         .since = marks_.writing_since(call.job).value_or(now)};
  MoneyBook::Answer money = money_.ask(call, model);
  if (!money.exceeds.empty()) {
    Placed placed = waits_for(WaitKind::budget, never, std::move(money.exceeds));
    placed.exceeds = true;
    return placed;
  }
  const std::vector<Endpoint*> served = usable(job->second, model, session);
  if (!served.empty() && std::all_of(served.begin(), served.end(), [&](const Endpoint* e) {
        return never_fits(e->account->limits(), bound);
      })) {
    Placed placed = waits_for(WaitKind::budget, never, why_never(served, bound));
    placed.exceeds = true;
    return placed;
  }
  for (Endpoint* endpoint : served) {
    touched(endpoint->account);
    if (!endpoint->account->knows(call.job)) job->second.asked.push_back(endpoint->account);
    endpoint->account->turns().asks(call.job, budget.share, session, now);
  }
  // Asked also when the job must wait: the blocks of both are then written together.
  const std::vector<Endpoint*> willing = job->second.refusals.willing(served, now);
  Choice where = choose_endpoint(willing, call, learned, prefixes_, now);
  if (refused || money.refusal ||
      willing.empty()) // whatever the endpoints say, nobody has to wait for it
    for (Endpoint* endpoint : served) endpoint->account->turns().leaves(call.job, session);
  if (refused) return waits(std::move(*refused));
  if (const auto& no = money.refusal) {
    Placed placed = waits_for(WaitKind::budget, now + no->wait, std::string{no->why});
    placed.stop = money.stop;
    return placed;
  }
  if (willing.empty() && !served.empty())
    return waits_for(WaitKind::budget, job->second.refusals.asked_again_at(served, now),
                     "the endpoint refuses the job's calls; it is asked again now and then");
  if (where.endpoint == nullptr && !where.reason)
    return waits_for(WaitKind::unserved, now + no_endpoint_retry,
                     why_none_serves(model, !budget.endpoints.empty(), endpoints_));
  Placed placed{std::move(where)};
  if (placed.where.endpoint == nullptr) {
    const auto asks_at = now + std::chrono::milliseconds{ms_until(placed.where.reason.until, now)};
    for (Account* account : placed.where.refused_by)
      account->turns().waits(call.job, session, asks_at);
    return placed;
  }
  placed.where.endpoint->chosen_at = ++choices_;
  placed.learners = learners_of(job->second, model, placed.where.endpoint->account->limits());
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
      granted.exceeding.push_back({call.call, std::move(where.reason.because)});
    } else if (where.endpoint == nullptr) {
      granted.waits.push_back({.calls = {call.call},
                               .job = call.job,
                               .wait_ms = ms_until(where.reason.until, now),
                               .model = call.model,
                               .prefix = where.of_its_prefix ? call.prefix : 0,
                               .reason = std::move(where.reason)});
    } else {
      granted.notes.push_back({placed.money.most, where.endpoint->account->doubt()});
      granted.permits.push_back(permit(call, std::move(placed), now));
    }
  }
  return granted;
}

protocol::Permit RateLimiter::permit(const AcquireCall& call, Placed placed, Time now) {
  const Endpoint& endpoint = *placed.where.endpoint;
  Out out;
  out.endpoint = endpoint.account;
  out.job = jobs_.at(call.job).account;
  out.endpoint_id = endpoint.offer.id;
  out.job_id = call.job;
  out.learners = std::move(placed.learners);
  out.bound = TokenBound::of(call);
  out.prefix = endpoint.offer.prefix_affinity ? call.prefix : 0;
  out.money = std::move(placed.money);
  out.asks_again = jobs_.at(call.job).refusals.begun(out.endpoint_id, now);
  std::uint64_t n = 0, unused = 0;
  const Duration life = out.endpoint->life();
  out.job_charge = out.job->draw(placed.job_tokens, now, unused, life);
  out.endpoint_charge = draw(*out.endpoint, placed.where.tokens, now, n, life);
  money_.drawn(out.money);
  out.endpoint->turns().served(call.job, out.endpoint->part_of_minute(placed.where.tokens.all));
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
  Out out = std::move(it->second);
  out_.erase(it);
  money_.ended(out.money, ended);
  touched(out.endpoint);
  if (out.job) touched(out.job);
  if (out.prefix != 0)
    prefixes_.ended(out.prefix, out.endpoint_id,
                    ended.how == Ended::How::answered && ended.cls == OutcomeClass::ok);
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) {
    if (ended.how == Ended::How::too_late) out.endpoint->permit_came_too_late(now);
    out.endpoint->felt(out.endpoint_charge.all, {.unstarted = true}, now);
    hear_refusal(out, EndpointNews::none, ended, now);
    refund(*out.endpoint, out.endpoint_charge, now);
    if (out.job) out.job->refund(out.job_charge, now);
    return;
  }
  out.endpoint->permit_used();
  const bool lost = ended.how == Ended::How::lost;
  const bool from_cache = 2 * ended.usage.cached > ended.usage.prompt;
  // What a worker finds wrong with an item by itself no endpoint has said.
  const OutcomeClassInfo& about = info(ended.cls);
  const bool asked =
      ended.http_status != 0 || about.fault != Fault::item || about.news != EndpointNews::answered;
  Account::End end;
  if (!lost && asked) end = {ended.cls, ended.latency, from_cache};
  if (ended.retry_after_ms >= 0) end.told = std::chrono::milliseconds{ended.retry_after_ms};
  out.endpoint->felt(out.endpoint_charge.all, end, now);
  if (const auto found = out.endpoint->found_news()) found_.heard(out.endpoint->name(), *found);
  if (out.endpoint->quota().is_closed()) without_credit_.insert(out.endpoint->name());
  out.endpoint->advertised(out.endpoint_charge.all, ended.limits, now);
  const bool told_to_wait = ended.cls == OutcomeClass::rate || ended.cls == OutcomeClass::ramp;
  const bool refused =
      told_to_wait || (ended.how == Ended::How::answered &&
                       out.endpoint->refuses_at_once(ended.cls, ended.latency, now));
  std::optional<protocol::Usage> used;
  if (ended.how == Ended::How::answered && ended.usage.known) used = ended.usage;
  if (used && ended.cls == OutcomeClass::ok) learn(out, *used, now);
  const bool free = ended.how == Ended::How::answered && refused; // what is refused costs nothing
  settle(*out.endpoint, out.endpoint_charge,
         free ? UsedTokens{0, 0, 0} : used_tokens(out.endpoint->limits(), used, out.bound), now);
  const std::optional<std::uint64_t> of_job =
      free ? std::optional<std::uint64_t>{0} : used_tokens({}, used, out.bound).all;
  if (out.job) out.job->settle(out.job_charge, of_job, now);
  hear_refusal(out, info(end.cls).news, ended, now);
  if (told_to_wait) {
    out.endpoint->refused(out.endpoint_charge.all, ended.tokens_refused,
                          ended.cls == OutcomeClass::ramp, now);
    const Duration told = std::chrono::milliseconds{ended.retry_after_ms};
    out.endpoint->park(
        now + (ended.retry_after_ms < 0 ? park_untold : std::min<Duration>(told, park_max)),
        "the endpoint asked us to wait", ended.attempt, now);
  } else if (refused) {
    out.endpoint->perhaps_refused(out.endpoint_charge.all, ended.tokens_refused, now);
  }
}

void RateLimiter::hear_refusal(const Out& out, EndpointNews news, const Ended& ended, Time now) {
  const auto job = jobs_.find(out.job_id);
  if (job == jobs_.end()) return;
  if (news == EndpointNews::refuses) {
    job->second.refusals.refused(out.endpoint_id, {out.asks_again, ended.latency},
                                 ended.http_status, out.endpoint->hold().has_answered(), now);
  } else {
    job->second.refusals.ended(out.endpoint_id, out.asks_again, news);
  }
}

void RateLimiter::queue_told(const protocol::QueueReport& report, Time now) {
  const Endpoint* endpoint = endpoints_.find(report.endpoint);
  if (endpoint == nullptr) return;
  Account& account = *endpoint->account;
  account.queue_told(report, now);
  if (const auto found = account.found_news()) found_.heard(account.name(), *found);
}

void RateLimiter::claimed(const ClaimedCall& call) {
  money_.claimed(call);
  if (call.has_ended) return; // it takes no slot
  const Endpoint* e = endpoints_.find(call.endpoint);
  if (e == nullptr || out_.contains(call.attempt)) return;
  const auto j = jobs_.find(call.job);
  Out out;
  out.endpoint = e->account;
  if (j != jobs_.end()) out.job = j->second.account;
  out.endpoint_id = call.endpoint;
  out.job_id = call.job;
  out.endpoint->occupy();
  if (out.job) out.job->occupy();
  out_.emplace(call.attempt, std::move(out));
}

} // namespace gristmill::rate_limiter
