// Why RATE LIMITER gives a call no permit, in words for people. It asks the accounts again without
// leaving a trace in them, so that to explain never changes what happens.
#include "actors/rate_limiter/rate_limiter.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

// A group commit takes some milliseconds; only what takes longer is worth a word.
constexpr auto slow_block = std::chrono::milliseconds{500};

WaitReason reason_of(const Account& account, const Refusal& refusal, std::string endpoint) {
  WaitReason reason;
  reason.kind = refusal.kind == WaitKind::none ? WaitKind::budget : refusal.kind;
  reason.endpoint = std::move(endpoint);
  reason.limit = refusal.limit;
  reason.learned = refusal.learned;
  reason.configured = refusal.configured;
  reason.until = refusal.until;
  if (reason.kind == WaitKind::cooldown || reason.kind == WaitKind::budget)
    reason.because = refusal.why;
  if (reason.kind == WaitKind::cooldown) {
    reason.since = account.parked_at();
    reason.attempt = account.parked_by();
  }
  return reason;
}

WaitReason slow_journal(std::optional<Time> since, Time now) {
  WaitReason reason;
  if (!since || now < *since + slow_block) return reason;
  reason.kind = WaitKind::journal;
  reason.since = *since;
  return reason;
}

} // namespace

WaitReason RateLimiter::explain(const AcquireCall& call, SessionId session, Time until,
                                const std::string& why, Time now) {
  const auto job = jobs_.find(call.job);
  if (job == jobs_.end()) return {};
  std::string model = call.model.empty() ? job->second.budget.model : call.model;
  if (model.empty() && endpoints_.served().size() == 1) model = endpoints_.served().begin()->first;
  const TokenLearners learned = learned_of(job->second, model);
  const auto refusal_of = [&](Account& account) {
    return limited(account, tokens_of(learned, account, TokenBound::of(call)), now);
  };

  Account& own = *job->second.account;
  if (const auto refusal = refusal_of(own)) return reason_of(own, *refusal, {});
  const std::vector<Endpoint*> served = usable(job->second, model, session);
  WaitReason earliest, writing = slow_journal(own.writing_since(), now);
  if (!writing) writing = slow_journal(marks_.writing_since(call.job), now);
  for (Endpoint* endpoint : job->second.refusals.willing(served, now)) {
    Account& account = *endpoint->account;
    const std::string& url = endpoint->offer.endpoint.url;
    WaitReason reason;
    if (const auto probe = account.hold().refuses(now)) {
      reason.kind = WaitKind::breaker;
      reason.endpoint = url;
      reason.until = *probe;
    } else if (const auto refusal = refusal_of(account)) {
      reason = reason_of(account, *refusal, url);
    } else if (const auto yield = account.turns().yields(call.job, now)) {
      reason.kind = WaitKind::turn;
      reason.endpoint = url;
      reason.limit = yield->to;
      reason.until = yield->until;
    } else if (!writing) {
      writing = slow_journal(account.writing_since(), now);
    }
    if (reason && (!earliest || reason.until < earliest.until)) earliest = std::move(reason);
  }
  if (earliest || writing) return earliest ? earliest : writing;
  if (why == block_being_written) return {}; // it is there in some milliseconds
  WaitReason other;
  other.kind = served.empty() ? WaitKind::unserved : WaitKind::budget;
  other.until = until;
  other.because = why;
  return other;
}

} // namespace gristmill::rate_limiter
