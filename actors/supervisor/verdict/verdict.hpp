// VERDICT: what the end of an attempt means for its part: it is over, is tried again, goes to
// another model, or stops the job. A part's retries pay for its own faults only; an endpoint's
// faults cost it nothing. A part whose calls bring an endpoint down is found by SUSPECTS, and is
// `poison` when it failed alone three times, each time after another part was answered. Invariant:
// it changes no part; the judgement says what is to become of it.
#pragma once

#include "actors/kit/random.hpp"
#include "actors/supervisor/parts/part_tally.hpp"
#include "actors/supervisor/verdict/debts.hpp"
#include "actors/supervisor/verdict/failure_budget.hpp"
#include "actors/supervisor/verdict/outage.hpp"
#include "actors/supervisor/verdict/quota_watch.hpp"
#include "actors/supervisor/verdict/retry_policy.hpp"
#include "actors/supervisor/verdict/suspects.hpp"
#include "actors/words/calls.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::supervisor {

// A part whose attempt has ended, as it stands in the ledger, and who else is left.
struct Case {
  PartId part;
  PartTally tally;
  Lane lane = Lane::open;
  bool suspected = false;
  bool has_fallback = false;
  bool last = false, few_left = false; // suspects.hpp
  bool cancelling = false;             // the job is
  bool speaks_for_call = true;         // of several parts of a call the first one
  bool before_fallback = false;        // the call may have asked for the part's first model
  std::string described;               // "ID (FILE:LINE): what came", of a failure
};

struct Judgement {
  enum class What : std::uint8_t {
    ends,       // with what came
    again,      // not before that time
    apart,      // … at once, in a smaller call: others with it failed, too
    falls_back, // begins anew at its other model
    is_poison,  // ends as such: poison_reply()
  };
  What what = What::ends;
  PartTally tally;
  Time not_before{};
  bool elsewhere = false;       // another attempt shall go to another endpoint
  std::uint32_t company = 0;    // set: … in a call of so many parts at most
  bool cleared = false;         // at its other model nothing is held against it
  bool repairs = false;         // another attempt tells the model what is wrong with its answer
  bool noted = false;           // what it has consumed is worth a note in the journal
  Time behind_since = never;    // an endpoint's fault met it then
  std::uint64_t alone_wait = 0; // set: those that go alone wait for so many answers
  std::optional<StateChange> stop;

  void stops(std::optional<StateChange> why) {
    if (!stop) stop = std::move(why);
  }
};

// How a part ends that failed so often while it ran alone; `call`: the last of its calls.
protocol::Reply poison_reply(const ReportedOutcome& call, std::uint32_t failures);

class Verdict {
public:
  explicit Verdict(const JobSpec& spec)
      : policy_{.retries = spec.policy.retries}, failures_{spec}, outage_{std::chrono::seconds{
                                                                      spec.policy.patience_s}},
        has_patience_{spec.policy.patience_s != 0} {}

  // A call was answered, whatever the endpoint made of it: what falls due with that.
  std::vector<Debts::Debt> heard_answer(const ReportedOutcome& call, Time now);
  // `reply`: what came for this part.
  Judgement judge(const Case& part, const ReportedOutcome& call, const protocol::Reply& reply,
                  Time now, Random& random);
  bool may_go_on(const PartTally& tally) const { return tally.consumed <= policy_.retries; }
  // An item has its result. `sample` tells of a failed one.
  std::optional<StateChange> item_ended(OutcomeClass cls, const std::string& code,
                                        const std::string& sample) {
    return failures_.ended(cls, code, sample);
  }
  void resumed(bool probing);

  const Suspects& suspects() const { return suspects_; }
  const Outage& outage() const { return outage_; }
  void outage_goes_on(Duration waited, Time now) { outage_.goes_on(waited, now); }
  void offered(const PartId& part, bool nothing_else) { suspects_.offered(part, nothing_else); }
  void goes_alone(const PartId& part) { suspects_.goes_alone(part); }
  void is_cleared() { suspects_.is_cleared(); }

private:
  Judgement weigh(const Case& part, const ReportedOutcome& call, const protocol::Reply& reply,
                  Time now, Random& random);
  bool is_own_refusal(const Case& part, const ReportedOutcome& call, std::uint16_t status,
                      PartTally& tally) const;
  void refused(const Case& part, const ReportedOutcome& call, Time now, Judgement& judgement);
  bool pays(const Case& part, const ReportedOutcome& call, const protocol::Reply& reply, Time now,
            Judgement& judgement);
  void meets_a_fault(const Case& part, const ReportedOutcome& call, const protocol::Reply& reply,
                     Judgement& judgement);
  void mind_outage(const Case& part, const ReportedOutcome& call, Time now, Judgement& judgement);
  Time again_at(const Case& part, const protocol::Reply& reply, Time not_before, Time now,
                Judgement& judgement) const;

  RetryPolicy policy_;
  FailureBudget failures_;
  Debts debts_;
  Outage outage_;
  QuotaWatch quota_;
  Suspects suspects_;
  bool has_patience_;
};

} // namespace gristmill::supervisor
