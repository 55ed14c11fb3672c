#include "actors/rate_limiter/rate_limiter.hpp"

#include "actors/kit/mutant.hpp"
#include "actors/rate_limiter/choice/no_endpoint.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

std::uint32_t ms_until(Time until, Time now) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(until - now).count();
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(ms, 1, 5'000));
}

// When a worker asks again that was told to.
Time as_told(Time until, Time now) {
  return now + std::chrono::milliseconds{ms_until(until, now)};
}

// Until when a job waits that waits for nothing but what is being written.
std::optional<Time> being_written_until(const std::optional<WaitReason>& refused,
                                        const std::optional<MoneyAccount::Refusal>& money,
                                        Time now) {
  if ((refused && refused->kind != WaitKind::journal) || (money && !money->being_written))
    return std::nullopt;
  if (refused) return refused->until;
  return money ? std::optional{now + money->wait} : std::nullopt;
}

PackLimit::End end_of_pack(const Ended& ended) {
  using enum PackLimit::End;
  const OutcomeClassInfo& about = info(ended.cls);
  if (ended.how != Ended::How::answered) return untold;
  if (ended.cls == OutcomeClass::ok) return ended.lacks_answers ? refused : taken;
  if (about.refuses_several()) return refused;
  return about.fault == Fault::item || about.is_endpoints() ? failed : untold;
}

std::vector<RateLimits> limits_of(const std::vector<Endpoint*>& endpoints) {
  std::vector<RateLimits> limits;
  for (const Endpoint* e : endpoints) limits.push_back(e->account->limits());
  return limits;
}

} // namespace

void RateLimiter::endpoint_added(const EndpointOffer& offer, Time now) {
  const RateLimits limits = offer.endpoint.limits;
  const AccountRef account = accounts_.open(account_name(offer), limits, now);
  reports_.opened(*account, now);
  const AccountRef before = endpoints_.add(offer, account, limits);
  accounts_.settle(account, endpoints_.strictest(*account), now);
  if (before && before != account) accounts_.settle(before, endpoints_.strictest(*before), now);
}

void RateLimiter::endpoint_gone(EndpointId id, Time now) {
  const Endpoint* leaving = endpoints_.find(id);
  const bool announced = leaving != nullptr && leaving->offer.only;
  const AccountRef account = endpoints_.remove(id);
  if (!account) return;
  // Of a worker's process, and of its next one it is another.
  if (announced) reports_.gone(*account);
  accounts_.settle(account, endpoints_.strictest(*account), now);
}

void RateLimiter::job_opened(const JobBudget& budget, Time now) {
  Job& job = jobs_[budget.job];
  job = {
      budget, accounts_.open(to_string(budget.job), budget.limits, now), {}, std::move(job.asked)};
  job.account->needs_no_numbers();
  tokens_.opened(budget.job, std::exchange(job.budget.learned, {}));
  money_.opened(budget);
}

void RateLimiter::job_changed(JobId id, const RateLimits& limits, Time now) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  job->second.budget.limits = limits;
  job->second.account->set_limits(limits, now);
  accounts_.touched(job->second.account);
}

void RateLimiter::share_changed(JobId id, const Share& share) {
  if (const auto job = jobs_.find(id); job != jobs_.end()) job->second.budget.share = share;
}

void RateLimiter::job_closed(JobId id) {
  marks_.forget(id);
  money_.closed(id);
  tokens_.closed(id);
  packs_.closed(id);
  const auto job = jobs_.extract(id);
  if (!job) return;
  for (const auto& asked : job.mapped().asked)
    if (const AccountRef account = asked.lock()) account->turns().forget(id);
  job.mapped().account->turns().forget(id);
  accounts_.leaves(job.mapped().account);
}

void RateLimiter::job_resumed(const JobResumed& job) {
  money_.resumed(job);
  reports_.credit_may_be_back(accounts_);
}

// Who names no model gets the only one that there is.
std::string RateLimiter::model_of(const AcquireCall& call) const {
  const auto& served = endpoints_.served();
  return call.model.empty() && served.size() == 1 ? served.begin()->first : call.model;
}

std::vector<Endpoint*> RateLimiter::usable(const Job& job, const std::string& model,
                                           SessionId session) {
  return job.budget.endpoints.empty() ? endpoints_.serving(model, session) : own_endpoints(job);
}

std::vector<Endpoint*> RateLimiter::own_endpoints(const Job& job) {
  std::vector<Endpoint*> own;
  for (const EndpointId id : job.budget.endpoints)
    if (Endpoint* endpoint = endpoints_.find(id)) own.push_back(endpoint);
  return own;
}

// Both are asked, so that its block and its mark are written together.
std::optional<WaitReason> RateLimiter::job_refuses(const Job& job, const AcquireCall& call,
                                                   Tokens tokens, SessionId session, Time now) {
  auto refused = job.account->refuses(tokens, now);
  if (refused && is_for_a_place(refused->kind)) {
    Turns& line = job.account->turns();
    line.asks(call.job, job.budget.share, session, now);
    refused->until =
        line.line_up(call.job, session, job.account->health().answer_seconds(now), now);
    line.waits(call.job, session, as_told(refused->until, now));
  }
  if (!marks_.covers(call.job, call.item) && !refused) {
    const std::optional<Time> since = marks_.writing_since(call.job);
    refused = WaitReason{.kind = WaitKind::journal,
                         .until = asked_when_written(since, now),
                         .since = since.value_or(now)};
  }
  return refused;
}

// From now on it may be the job's turn at each of them.
void RateLimiter::take_turns(Job& job, const std::vector<Endpoint*>& served, SessionId session,
                             Time now) {
  for (Endpoint* endpoint : served) {
    Account& account = *endpoint->account;
    accounts_.touched(endpoint->account);
    if (!account.turns().knows(job.budget.job)) job.asked.push_back(endpoint->account);
    account.turns().asks(job.budget.job, job.budget.share, session, now);
  }
}

RateLimiter::Admission RateLimiter::admit(const AcquireCall& call, SessionId session, Time now) {
  const auto known = jobs_.find(call.job);
  if (known == jobs_.end())
    return Admission::waits(WaitKind::budget, now + no_endpoint_retry, "the job is not running");
  Job& job = known->second;
  const std::string model = model_of(call);
  const TokenLearners learned = tokens_.of(call.job, model);
  const TokenBound bound = TokenBound::of(call);
  accounts_.touched(job.account);
  const Tokens job_tokens = tokens_of(learned, *job.account, bound).all;
  auto refused = job_refuses(job, call, job_tokens, session, now);
  MoneyBook::Answer money = money_.ask(call, model, now);
  if (!money.exceeds.empty()) return Admission::exceeding(std::move(money.exceeds));
  const std::vector<Endpoint*> served = usable(job, model, session);
  const auto fits_never = [&](const Endpoint* e) {
    return never_fits(e->account->limits(), bound);
  };
  if (!served.empty() && std::all_of(served.begin(), served.end(), fits_never))
    return Admission::exceeding(why_never(limits_of(served), bound));
  if (call.parts > 1) {
    packs_.asked(call.job, call.model);
    const std::uint32_t most = most_proved(served);
    const auto takes_fewer = [&](const Endpoint* e) {
      return !e->account->packs().may_try(call.parts, most, now);
    };
    if (!served.empty() && std::all_of(served.begin(), served.end(), takes_fewer))
      return Admission::too_many_parts();
  }
  take_turns(job, served, session, now);
  // Asked also when the job must wait: the blocks of both are then written together.
  const std::vector<Endpoint*> willing = job.refusals.willing(served, now);
  Choice where = choose_endpoint(willing, {call, session, learned}, prefixes_, now);
  // Then nobody has to wait for its turn, whatever the endpoints say …
  if (refused || money.refusal || willing.empty())
    for (Endpoint* endpoint : served) endpoint->account->turns().leaves(call.job, session);
  // … but for what is being written: that takes milliseconds.
  const auto written = being_written_until(refused, money.refusal, now);
  if (written)
    for (Endpoint* endpoint : willing)
      endpoint->account->turns().waits(call.job, session, as_told(*written, now));
  if (refused) return {{.reason = std::move(*refused)}};
  if (const auto& no = money.refusal) {
    Admission admission = Admission::waits(WaitKind::budget, now + no->wait, std::string{no->why});
    admission.stop = money.stop;
    return admission;
  }
  if (willing.empty() && !served.empty())
    return Admission::waits(WaitKind::budget, job.refusals.asked_again_at(served, now),
                            "the endpoint refuses the job's calls; it is asked again now and then");
  if (where.endpoint == nullptr && !where.reason)
    return Admission::waits(WaitKind::unserved, now + no_endpoint_retry,
                            job.budget.endpoints.empty()
                                ? why_none_serves(model, endpoints_.served())
                                : "none of the job's endpoints is there");
  if (where.endpoint == nullptr) {
    for (Account* account : where.refused_by)
      account->turns().waits(call.job, session, as_told(where.reason.until, now));
    return {std::move(where)};
  }
  where.endpoint->chosen_at = ++choices_;
  TokenLearners learners = tokens_.learners(call.job, model, where.endpoint->account->limits());
  return {.where = std::move(where),
          .learners = std::move(learners),
          .job_tokens = job_tokens,
          .money = std::move(money.charge)};
}

// Whether the permit may be out before its call could begin: nobody has to wait for what it takes,
// and nothing is learned from whether it may go.
bool RateLimiter::has_plenty(const AcquireCall& call, SessionId session, Time now) {
  const auto known = jobs_.find(call.job);
  if (known == jobs_.end() || call.parts > 1 || money_.has_budget(call.job)) return false;
  const Job& job = known->second;
  if (job.refusals.size() > 0 || !marks_.covers(call.job, call.item)) return false;
  const std::string model = model_of(call);
  const TokenLearners learned = tokens_.of(call.job, model);
  const auto has_plenty = [&](Account& account) {
    return account.has_plenty(tokens_of(learned, account, TokenBound::of(call)).all, now);
  };
  const std::vector<Endpoint*> served = usable(job, model, session);
  return !served.empty() && has_plenty(*job.account) &&
         std::ranges::all_of(served, [&](Endpoint* e) { return has_plenty(*e->account); });
}

Granted RateLimiter::acquire(const Acquire& acquire, Time now) {
  Granted granted{acquire.session, acquire.nonce, {}, {}};
  for (const AcquireCall& call : acquire.calls) {
    if (call.ahead && !has_plenty(call, acquire.session, now)) {
      granted.not_ahead.push_back(call.call);
      continue;
    }
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
    Admission admission = admit(call, acquire.session, now);
    Choice& where = admission.where;
    if (admission.stop) granted.stops.push_back(std::move(*admission.stop));
    if (admission.exceeds) {
      granted.exceeding.push_back({call.call, std::move(where.reason.because), admission.by_parts});
    } else if (where.endpoint == nullptr && call.ahead) {
      granted.not_ahead.push_back(call.call);
    } else if (where.endpoint == nullptr) {
      granted.waits.push_back({.calls = {call.call},
                               .job = call.job,
                               .wait_ms = ms_until(where.reason.until, now),
                               .model = call.model,
                               .prefix = where.of_its_prefix ? call.prefix : 0,
                               .reason = std::move(where.reason)});
    } else {
      const Account& account = *where.endpoint->account;
      granted.notes.push_back({admission.money.most, account.health().doubt(account.in_flight())});
      granted.permits.push_back(permit(call, std::move(admission), now));
    }
  }
  return granted;
}

protocol::Permit RateLimiter::permit(const AcquireCall& call, Admission admission, Time now) {
  const Endpoint& endpoint = *admission.where.endpoint;
  Account& account = *endpoint.account;
  Job& job = jobs_.at(call.job);
  const Duration life = account.permit_life().length();
  Out out;
  out.charge = PermitCharge::draw(endpoint.account, job.account, admission.where.tokens,
                                  admission.job_tokens, now);
  out.endpoint = endpoint.offer.id;
  out.job = call.job;
  out.learners = std::move(admission.learners);
  out.bound = TokenBound::of(call);
  out.parts = call.parts;
  out.tries_parts = account.packs().begun(call.parts);
  out.prefix = endpoint.offer.prefix_affinity ? call.prefix : 0;
  out.money = std::move(admission.money);
  out.asks_again = job.refusals.begun(out.endpoint, now);
  money_.drawn(out.money);
  account.turns().served(call.job, account.part_of_minute(admission.where.tokens.all));
  if (out.prefix != 0) prefixes_.went(out.prefix, out.endpoint, now);
  const Epoch epoch = mutated("attempt_id_reuse") ? Epoch{1} : epoch_;
  const auto [block, n] = out.charge.of_endpoint.all.drawn;
  const AttemptId attempt = AttemptId::of(epoch, block, n);
  // Only where there is a window does a permit have to age.
  const bool ages = account.limits().windows() || job.account->limits().windows();
  const protocol::Permit permit{call.call, attempt, out.endpoint,
                                static_cast<std::uint32_t>(ages ? to_ms(life) : 0)};
  out_.emplace(attempt, std::move(out));
  return permit;
}

void RateLimiter::ended(const Ended& ended, Time now) {
  money_.ended_earlier(ended);
  const auto known = out_.extract(ended.attempt);
  if (!known) return;
  const Out& out = known.mapped();
  Account& endpoint = *out.charge.endpoint;
  const Charge& charge = out.charge.of_endpoint.all;
  const bool answered = ended.how == Ended::How::answered;
  money_.ended(out.money, ended);
  hear_of_packs(out, ended, now);
  accounts_.touched(out.charge.endpoint);
  if (out.charge.job) accounts_.touched(out.charge.job);
  if (out.prefix != 0)
    prefixes_.ended(out.prefix, out.endpoint, answered && ended.cls == OutcomeClass::ok);
  if (ended.how == Ended::How::unstarted || ended.how == Ended::How::too_late) {
    if (ended.how == Ended::How::too_late) endpoint.permit_life().came_too_late(now);
    endpoint.felt(charge, {.unstarted = true}, now);
    hear_refusal(out, EndpointNews::none, ended, now);
    return out.charge.refund(now);
  }
  const EndpointReports::Said said = reports_.ended(endpoint, charge, ended, now);
  std::optional<protocol::Usage> used;
  if (answered && ended.usage.known) used = ended.usage;
  if (used && ended.cls == OutcomeClass::ok)
    tokens_.learn(out.job, out.learners, out.bound, *used, now - charge.begun.at);
  out.charge.settle(used, out.bound, answered && said.refused, now); // what is refused is free
  hear_refusal(out, said.news, ended, now);
  if (said.refused) EndpointReports::refused(endpoint, charge, ended, now);
}

void RateLimiter::hear_of_packs(const Out& out, const Ended& ended, Time now) {
  PackLimit& packs = out.charge.endpoint->packs();
  if (out.parts == 1 && !packs.is_known()) return;
  const auto seen = [&] { return std::tuple{packs.is_known(), packs.proved(), packs.next(now)}; };
  const auto before = seen();
  packs.ended(out.parts, out.tries_parts, end_of_pack(ended), ended.latency, now);
  if (packs.proved() != std::get<1>(before)) reports_.takes_inputs(*out.charge.endpoint);
  if (seen() != before) packs_.something_changed();
}

std::vector<PackNews> RateLimiter::pack_news(Time now) {
  return packs_.news(
      [this](JobId id, const std::string& model) {
        const auto job = jobs_.find(id);
        if (job == jobs_.end()) return PackSizes::Of{};
        AcquireCall call;
        call.model = model;
        return PackSizes::Of{job->second.budget.endpoints.empty()
                                 ? endpoints_.serving(model_of(call))
                                 : own_endpoints(job->second),
                             job->second.budget.limits.max_in_flight};
      },
      now);
}

void RateLimiter::hear_refusal(const Out& out, EndpointNews news, const Ended& ended, Time now) {
  const auto job = jobs_.find(out.job);
  if (job == jobs_.end()) return;
  Refusals& refusals = job->second.refusals;
  if (news != EndpointNews::refuses) return refusals.ended(out.endpoint, out.asks_again, news);
  refusals.refused(out.endpoint, {out.asks_again, ended.latency}, ended.http_status,
                   out.charge.endpoint->health().hold().has_answered(), now);
}

void RateLimiter::queue_told(const protocol::QueueReport& report, Time now) {
  if (const Endpoint* endpoint = endpoints_.find(report.endpoint))
    reports_.queue_told(*endpoint->account, report, now);
}

void RateLimiter::claimed(const ClaimedCall& call) {
  money_.claimed(call);
  if (call.has_ended) return; // it takes no slot
  const Endpoint* endpoint = endpoints_.find(call.endpoint);
  if (endpoint == nullptr || out_.contains(call.attempt)) return;
  const auto job = jobs_.find(call.job);
  Out out;
  out.charge =
      PermitCharge::occupy(endpoint->account, job == jobs_.end() ? nullptr : job->second.account);
  out.endpoint = call.endpoint;
  out.job = call.job;
  out_.emplace(call.attempt, std::move(out));
}

void RateLimiter::durable(std::uint64_t number) {
  accounts_.durable(number);
  marks_.durable(number);
  money_.durable(number);
}

std::vector<journal::BlockNote> RateLimiter::reserve(Time now) {
  auto notes = accounts_.reserve(next_, commit_time_.of_late(now), now);
  for (const auto& note : notes)
    ++(note.block <= AttemptId::block_max ? next_.attempts : next_.others);
  return notes;
}

RateLimiter::Marks RateLimiter::reserve_marks(Time now) {
  Marks marks{next_.others, marks_.reserve(next_.others, now, commit_time_.of_late(now))};
  if (!marks.notes.empty()) ++next_.others;
  return marks;
}

void RateLimiter::measure(Sizes& sizes) const {
  accounts_.measure(sizes);
  sizes["limiter.jobs"] = jobs_.size();
  sizes["limiter.permits out"] = out_.size();
  sizes["limiter.endpoints"] = endpoints_.size();
  sizes["limiter.money"] = money_.size();
  sizes["limiter.prefixes"] = prefixes_.size();
  sizes["limiter.found limits"] = reports_.size();
  sizes["limiter.models"] = tokens_.size() + packs_.size();
  for (const auto& [id, job] : jobs_) sizes["limiter.models"] += job.refusals.size();
}

std::uint32_t RateLimiter::in_flight(EndpointId id) const {
  const auto it = endpoints_.all().find(id);
  return it == endpoints_.all().end() ? 0 : it->second.account->in_flight();
}

EndpointStanding RateLimiter::standing(EndpointId id, Time now) const {
  const auto it = endpoints_.all().find(id);
  return it == endpoints_.all().end() ? EndpointStanding{} : it->second.account->standing(now);
}

} // namespace gristmill::rate_limiter
