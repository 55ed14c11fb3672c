#include "actors/rate_limiter/choice/endpoint_choice.hpp"

#include "actors/rate_limiter/packs/pack_sizes.hpp"

#include <algorithm>
#include <limits>
#include <tuple>

namespace gristmill::rate_limiter {
namespace {

// Below that share of its limits an endpoint has headroom for whatever begins alike, and up to
// `home_worth` times the burden, or the time, of the best one it is still the better place.
constexpr double headroom = 0.5, home_worth = 2;
constexpr auto priming_look = std::chrono::milliseconds{25};

struct Candidate {
  Endpoint* endpoint = nullptr;
  CallTokens tokens{};
  double share = 0, answer_s = 0; // 0 = not known
  bool failed = false;            // the call did, there
  bool tries = false;             // … would be the first of so many inputs

  double burden() const { return share * answer_s; }
  auto rank() const {
    return std::tuple{failed, !tries, burden(), endpoint->account->in_flight(),
                      endpoint->chosen_at};
  }
};

bool contains(const std::vector<EndpointId>& ids, EndpointId id) {
  return std::find(ids.begin(), ids.end(), id) != ids.end();
}

// Collects those that let the call go, and the earliest time at which one of the others may.
class Sieve {
public:
  Sieve(const AcquireCall& call, SessionId session, const TokenLearners& learned, Time now)
      : call_{call}, session_{session}, bound_{TokenBound::of(call)}, learned_{learned}, now_{now} {
  }

  void sift(const std::vector<Endpoint*>& endpoints) {
    most_proved_ = call_.parts > 1 ? most_proved(endpoints) : 1;
    for (Endpoint* endpoint : endpoints) {
      Account& account = *endpoint->account;
      if (const auto until = account.health().hold().refuses(now_))
        wait(*endpoint, {.kind = WaitKind::breaker, .until = *until});
      else if (never_fits(account.limits(), bound_))
        wait(*endpoint, {.kind = WaitKind::budget,
                         .until = now_ + no_endpoint_retry,
                         .because = "too large for the endpoints that take calls now"});
      else if (!account.packs().takes(call_.parts, most_proved_, now_))
        wait(*endpoint, {.kind = WaitKind::budget,
                         .until = now_ + no_endpoint_retry,
                         .because = "one call of so many inputs is being tried first"});
      else
        weigh(*endpoint);
    }
    suppose_times();
  }

  std::vector<Candidate> candidates;
  Choice refused{};

private:
  void wait(const Endpoint& endpoint, WaitReason reason) {
    if (refused.reason && reason.until >= refused.reason.until) return;
    refused.reason = std::move(reason);
    refused.reason.endpoint = endpoint.offer.endpoint.url;
  }
  void weigh(Endpoint& endpoint) {
    Account& account = *endpoint.account;
    const CallTokens tokens = tokens_of(learned_, account, bound_);
    if (auto no = refuses(account, tokens, now_)) {
      refused.refused_by.push_back(&account);
      if (is_for_a_place(no->kind))
        no->until = account.turns().line_up(call_.job, session_,
                                            account.health().answer_seconds(now_), now_);
      return wait(endpoint, std::move(*no));
    }
    if (const auto yield = account.turns().yields(call_.job, now_)) {
      refused.refused_by.push_back(&account);
      return wait(endpoint, {.kind = WaitKind::turn, .limit = yield->to, .until = yield->until});
    }
    candidates.push_back(
        {&endpoint, tokens, account.load(now_), account.health().answer_seconds(now_),
         contains(call_.failed_at, endpoint.offer.id), call_.parts > account.packs().proved()});
  }
  // One that has not answered yet is supposed to be as fast as the fastest.
  void suppose_times() {
    double least = std::numeric_limits<double>::max();
    for (const Candidate& c : candidates)
      if (c.answer_s > 0) least = std::min(least, c.answer_s);
    for (Candidate& c : candidates)
      if (c.answer_s <= 0) c.answer_s = least < std::numeric_limits<double>::max() ? least : 1;
  }

  const AcquireCall& call_;
  SessionId session_;
  TokenBound bound_;
  const TokenLearners& learned_;
  Time now_;
  std::uint32_t most_proved_ = 1;
};

const Candidate& best_of(const std::vector<Candidate>& candidates) {
  return *std::min_element(
      candidates.begin(), candidates.end(),
      [](const Candidate& a, const Candidate& b) { return a.rank() < b.rank(); });
}

// Where calls that begin like this one have been, as long as it is not overrun: of several the one
// where they were first. Else a group that had to go elsewhere for a moment would be at home
// everywhere from then on, and each server would read each beginning.
const Candidate* home_of(const std::vector<Candidate>& candidates, const Candidate& best,
                         const std::vector<EndpointId>& homes) {
  for (const EndpointId id : homes)
    for (const Candidate& c : candidates) {
      if (c.endpoint->offer.id != id || c.failed || !c.endpoint->offer.prefix_affinity) continue;
      const bool overrun = c.share >= headroom && c.burden() > home_worth * best.burden();
      if (!overrun) return &c;
    }
  return nullptr;
}

// Where calls go from now on that begin like this one, the first of them: of those that have
// headroom and are about as quick as the quickest, the home of the fewest. By what is in flight at
// the moment groups would fall to endpoints at random.
const Candidate* new_home(const std::vector<Candidate>& candidates, const PrefixGroups& groups) {
  double least = std::numeric_limits<double>::max();
  for (const Candidate& c : candidates) least = std::min(least, c.answer_s);
  const auto rank = [&](const Candidate& c) {
    return std::tuple{!c.tries, groups.at_home(c.endpoint->offer.id), c.rank()};
  };
  const Candidate* best = nullptr;
  for (const Candidate& c : candidates) {
    if (c.failed || !c.endpoint->offer.prefix_affinity || c.share >= headroom ||
        c.answer_s > home_worth * least)
      continue;
    if (best == nullptr || rank(c) < rank(*best)) best = &c;
  }
  return best;
}

} // namespace

Choice choose_endpoint(const std::vector<Endpoint*>& endpoints, const AskedCall& asked,
                       const PrefixGroups& groups, Time now) {
  Sieve sieve{asked.call, asked.session, asked.learned, now};
  const AcquireCall& call = asked.call;
  sieve.sift(endpoints);
  if (sieve.candidates.empty()) return sieve.refused;
  const Candidate* chosen = &best_of(sieve.candidates);
  if (call.prefix != 0) {
    const std::vector<EndpointId> homes = groups.homes(call.prefix);
    const Candidate* home = homes.empty() ? new_home(sieve.candidates, groups)
                                          : home_of(sieve.candidates, *chosen, homes);
    if (home != nullptr) chosen = home;
    const bool wanted = chosen->endpoint->offer.prefix_affinity;
    if (const Time until = groups.priming_until(call.prefix); wanted && until > now)
      return {.reason = {.kind = WaitKind::budget,
                         .until = std::min(until, now + priming_look),
                         .because = "a call that begins alike is being answered first"},
              .of_its_prefix = true};
  }
  return {.endpoint = chosen->endpoint, .tokens = chosen->tokens};
}

} // namespace gristmill::rate_limiter
