// SUPERVISOR runs one job: it reads items, offers them as calls, decides what every outcome means,
// and knows when the job is done.
//   hears  Want        from COORDINATOR: room for so many more calls
//          Outcomes    from COORDINATOR: how attempts ended, also late and repeated ones
//          Returned    from COORDINATOR: calls that were never started
//          Lost        from COORDINATOR: calls of a session that is gone
//          Claimed     from COORDINATOR: a worker says that it is making this call
//          Kept        from COORDINATOR: a worker says that it has this call's outcome
//          GraceOver   from COORDINATOR: after a restart, nobody else will claim anything
//          Begun       from COORDINATOR, to a job that hedges: calls got their permits
//          Durable     from JOURNAL: what was appended would survive a power cut
//          Pause, Resume from COORDINATOR: the job starts no more calls, or goes on
//   tells  COORDINATOR offers, withdrawals, progress; JOURNAL appends; MERGER that all is terminal
//   never  touches a clock, a socket or a disk other than the job's input
// Invariant: the first terminal outcome of an item wins and is appended once; every outcome is
// acknowledged by an append behind it.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/kit/random.hpp"
#include "actors/supervisor/debts.hpp"
#include "actors/supervisor/failure_budget.hpp"
#include "actors/supervisor/hedging.hpp"
#include "actors/supervisor/item_ledger.hpp"
#include "actors/supervisor/item_question.hpp"
#include "actors/supervisor/model_plan.hpp"
#include "actors/supervisor/outage.hpp"
#include "actors/supervisor/quota_watch.hpp"
#include "actors/supervisor/retry_policy.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/error_book.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/openai/tokens/bound.hpp"
#include "protocol/result.hpp"

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::supervisor {

// An item that made its endpoint fail so often while it ran alone is poison.
inline constexpr std::uint8_t alone_failures_max = 3;
// Lines that the supervisor writes by itself and that are not durable yet.
inline constexpr std::uint64_t undurable_lines_max = 8'192;

struct Ack {
  SessionId session;
  AttemptId attempt;
};

// Goes to the journal as one; `acks` and `durable` come back when it is durable.
struct Append {
  std::vector<journal::ResultLine> lines;
  std::vector<journal::AttemptNote> attempts;
  journal::JobNote note;
  std::vector<Ack> acks;
  std::uint64_t completed = 0, failed = 0;
  bool empty() const {
    return lines.empty() && attempts.empty() && acks.empty() && note.ambiguous == 0;
  }
};

struct Effects {
  std::vector<OfferedCall> offers;
  std::vector<CallId> withdrawn; // somebody else has answered, or the job is cancelled
  Append append;
  bool progress = false;           // counts have changed
  bool all_terminal = false;       // said once, from durable state only
  std::optional<StateChange> stop; // the job cannot or should not go on
};

// What the journal knew when this life of the job began.
struct RecoveredItems {
  ItemSet terminal;
  std::vector<journal::AttemptNote> attempts;
  JobCounts counts;
  InputPosition low;
  std::uint64_t mark = 0;                          // items from here on have not been called
  bool may_have_called = false;                    // a worker's session was open at the end
  std::uint64_t calls_at_once = ~std::uint64_t{0}; // … and it could have so many calls in flight
  std::uint64_t next_call = 0; // of an earlier life of the job in this epoch; 0 = it had none
  ErrorList errors = {};       // that it has met, as far as they are remembered
  std::optional<Duration> outage = {}; // it waited for its endpoint, for so long
};

class Supervisor {
public:
  Supervisor(JobId job, Epoch epoch, JobSpec spec, intake::ByteSource& source,
             RecoveredItems recovered, const std::vector<PoolSpec>& pools = {});

  Effects started(Time now); // first of all
  Effects wanted(std::uint32_t calls, std::uint64_t bytes, Time now);
  Effects outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random);
  Effects returned(const std::vector<LostCall>& calls, Time now);
  Effects lost(const std::vector<LostCall>& calls, Time now);
  Effects claimed(const std::vector<protocol::Claim>& claims, Time now);
  Effects kept(const std::vector<protocol::Claim>& claims, Time now);
  Effects begun(const std::vector<BegunCall>& calls, Time now); // twins.cpp
  // `untold`: calls of which nobody says whether they were made, at most.
  Effects grace_over(Time now, std::uint64_t untold = ~std::uint64_t{0});
  Effects durable(std::uint64_t completed, std::uint64_t failed, Time now);
  Effects cancel(Time now);
  Effects pause(Time now);
  // `probing`: only to see whether what paused it is over.
  Effects resume(Time now, bool probing = false);
  Effects tick(Time now);
  // For calls that are lost; it is in the journal already.
  Effects charged(std::uint64_t nano_usd);

  Time wake_at() const; // when tick() has something to do
  // After started(): the input could not be opened for want of descriptors. Nothing has begun: a
  // new supervisor may find some later.
  const std::string& must_wait() const { return reading_fails_; }
  JobCounts counts() const;
  bool reading() const { return !read_all_; }
  // explain.cpp: why no call is offered though there may be room; none = that is not the reason.
  WaitReason why_waiting(Time now) const;
  ItemStanding standing(const ItemQuestion& question, Time now);
  double items_left() const; // an estimate until all is read
  ErrorBook& errors() { return errors_; }
  const Outage& outage() const { return outage_; }
  std::uint64_t next_call() const { return next_call_; }

private:
  struct Credit {
    std::uint32_t calls = 0;
    std::int64_t bytes = 0; // below 0: the last call was larger than what was left
    bool left() const { return calls > 0 && bytes > 0; }
    void spend(std::size_t b) {
      --calls;
      bytes -= static_cast<std::int64_t>(b);
    }
  };

  void look_ahead(Time now, Effects& effects);
  bool proved(Time now, Effects& effects);
  void stop_at_bad_line(const intake::Place& place, const std::string& bad, Effects& effects);
  bool caught_up(Time now, Effects& effects);
  void fail_reading(const Error& error, Time now, Effects& effects);
  void check_count(Effects& effects);
  void fill(Time now, Effects& effects);
  void offer_next(Time now, Effects& effects);
  bool offer_waiting(Time now, Effects& effects);
  bool offer_probe(Time now, Effects& effects);
  bool offer_due(Lane lane, Time now, Effects& effects);
  bool offer_again(std::uint64_t item, LiveItem& live, Time now, Effects& effects);
  bool others_stand(Time now) const;
  Time next_offer_at() const;
  bool read_next(Time now, Effects& effects);
  bool may_read() const;
  void offer(std::uint64_t item, LiveItem& live, std::string raw, Effects& effects);
  void offer(std::uint64_t item, LiveItem& live, CallId id, std::vector<EndpointId> failed_at,
             std::string raw, Effects& effects);
  void accept(ReportedOutcome& reported, Time now, Random& random, Effects& effects);
  bool of_earlier_life(CallId call) const;
  void wait_again(std::uint64_t item, LiveItem& live, CallId failed, Time not_before);
  bool refused(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported, Time now,
               Effects& effects);
  bool is_own_refusal(LiveItem& live, const protocol::Outcome& outcome);
  void note_served(const LiveItem& live, const protocol::Outcome& outcome);
  std::string model_asked(const LiveItem& live);
  void watch_quota(const LiveItem& live, const ReportedOutcome& reported, Effects& effects);
  void stop(std::optional<StateChange> stop, Effects& effects);
  void meet(const protocol::Outcome& outcome, const std::string& id, const intake::Place& place);
  std::string described(const std::string& id, const intake::Place& place,
                        const protocol::Outcome& outcome);
  bool fall_back(std::uint64_t item, LiveItem& live, const protocol::Outcome& outcome, Time now,
                 Effects& effects);
  void retry(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported, Time not_before,
             Effects& effects);
  // whose_fault.cpp
  void heard_answer(std::uint64_t item, const ReportedOutcome& reported, Time now,
                    Effects& effects);
  void pay(const Debts::Debt& debt, Time now, Effects& effects);
  bool pays(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported, Time now);
  void meets_a_fault(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported);
  bool is_last() const;
  bool only_few_are_left() const;
  std::uint8_t alone_failures_needed() const;
  Time again_at(LiveItem& live, const ReportedOutcome& reported, Time not_before, Time now,
                Effects& effects);
  void poison(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported, Time now,
              Effects& effects);
  void mind_outage(std::uint64_t item, LiveItem& live, const ReportedOutcome& reported, Time now,
                   Effects& effects);
  std::optional<std::uint64_t> next_alone(Time now) const;
  bool needs_witness() const;
  bool keeps_witnesses() const;
  bool is_alone_out() const;
  void again(std::uint64_t item, LiveItem& live, Time now, Effects& effects);
  // twins.cpp
  void look_for_slow_ones(Time now);
  void hedge(Time now, Effects& effects);
  void offer_twin(std::uint64_t item, LiveItem& live, Effects& effects);
  void gone(std::uint64_t item, LiveItem& live, CallId call, Time now, Effects& effects);
  void withdraw(const LiveItem& live, CallId but, Effects& effects);

  void finish(std::uint64_t item, const intake::Place& place, const std::string& id,
              std::uint32_t tries, const protocol::Outcome& outcome, const std::string& endpoint,
              Effects& effects);
  void give_up(std::uint64_t item, const LiveItem& live, OutcomeClass cls, std::string code,
               std::string message, Effects& effects);
  void cancel_live(bool out_too, Effects& effects);
  void restore_attempts(std::uint64_t item, LiveItem& live);
  journal::AttemptNote note_of(std::uint64_t item, const LiveItem& live) const;
  InputPosition low() const;
  Effects& sealed(Effects& effects);

  JobId job_;
  JobSpec spec_;
  openai::DocumentTemplate documents_;
  openai::JobTokens tokens_;
  RetryPolicy policy_;
  ModelPlan models_;
  intake::ByteSource& source_;
  intake::Intake intake_;
  ItemLedger ledger_;
  FailureBudget failures_;
  ErrorBook errors_; // of all ends of calls, and of items that had none
  Debts debts_;
  Outage outage_;
  std::optional<Duration> waited_;      // before our life began
  std::optional<std::uint64_t> single_; // the item that is out, and was while nothing else was
  std::uint32_t answered_single_ = 0, lost_single_ = 0; // such items, but those that went alone
  std::uint64_t served_ = 0;  // answers, by which it is learned which models endpoints serve
  std::uint64_t answers_ = 0; // of this life
  std::optional<std::uint64_t> alone_; // the item that was offered last to be tried alone
  QuotaWatch quota_;
  Hedging hedging_;
  Time hedge_at_ = never; // when to look for calls that take too long
  std::unordered_map<std::uint64_t, journal::AttemptNote> recovered_attempts_;
  JobCounts counts_; // completed and failed: durable ones
  std::uint64_t mark_;
  bool may_have_called_;
  std::uint64_t calls_at_once_; // of an earlier life
  std::uint64_t next_call_;
  Credit credit_;
  std::uint64_t undurable_lines_ = 0;
  bool read_all_ = false, grace_ = true, cancelling_ = false, said_all_ = false, failed_ = false;
  bool paused_ = false;
  bool probing_ = false;        // since it was resumed so, nothing was answered
  Time looked_at_{Time::min()}; // when it was last seen what could be offered
  Time probed_at_{};            // when one that waits behind was offered last
  bool catching_up_ = false;    // after a restart: what was read before is being read again
  // Of a strict job, until its whole input has been read once and found good.
  std::unique_ptr<intake::Intake> proof_;
  bool more_to_read_ = false; // a slice ended before its work did
  // For want of descriptors nothing is read for a while: why, and until when.
  std::string reading_fails_;
  Time read_again_at_ = never;
  Time cancel_deadline_ = never;
};

} // namespace gristmill::supervisor
