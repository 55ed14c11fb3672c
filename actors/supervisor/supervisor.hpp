// SUPERVISOR: one per job. Reads items, offers their parts in calls, decides what every outcome
// means, and knows when the job is done.
//   hears  Want         from COORDINATOR: there is room for so many more calls
//          Outcomes     from COORDINATOR: how attempts ended, late and repeated ones too
//          Returned     from COORDINATOR: calls that were never started
//          Lost         from COORDINATOR: calls of a session that is gone
//          Claimed      from COORDINATOR: a worker says that it is making this call
//          Kept         from COORDINATOR: a worker says that it has this call's outcome
//          GraceOver    from COORDINATOR: after a restart, nobody else will claim anything
//          Begun        from COORDINATOR, for a job that hedges: calls got their permits
//          Pause, Resume, Cancel  from JOB DESK by way of COORDINATOR's room
//          Durable      from JOURNAL: what was appended would survive a power cut
//          Joined       from JOINER: the line of an item of several parts
//   tells  COORDINATOR offers, withdrawals and progress, JOB DESK that all items are terminal;
//          JOURNAL lines and notes; JOINER which items have all their parts
//   never  touches a clock, a socket, or a disk other than the job's input
// It joins READER (items), PART LEDGER (open parts), CALL BOOK (calls), OFFERS (what is asked),
// TURNS (which part is next), VERDICT (what an outcome means) and HEDGING (second calls).
// Invariant: the first terminal outcome of a part wins and is appended once; every outcome is
// acknowledged by an append behind it.
#pragma once

#include "actors/kit/random.hpp"
#include "actors/supervisor/hedging.hpp"
#include "actors/supervisor/item_question.hpp"
#include "actors/supervisor/offers.hpp"
#include "actors/supervisor/parts/call_book.hpp"
#include "actors/supervisor/parts/part_ledger.hpp"
#include "actors/supervisor/parts/part_plan.hpp"
#include "actors/supervisor/reader.hpp"
#include "actors/supervisor/standing.hpp"
#include "actors/supervisor/turns.hpp"
#include "actors/supervisor/verdict/verdict.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/error_book.hpp"
#include "actors/words/joining.hpp"
#include "actors/words/records.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/usd.hpp"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::supervisor {

// Lines that the supervisor writes by itself and that are not durable yet.
inline constexpr std::uint64_t undurable_lines_max = 8'192;

struct Ack {
  SessionId session;
  AttemptId attempt;
};

// Lines that are durable now.
struct DurableLines {
  std::uint64_t completed = 0, failed = 0, parts = 0; // of items, of items, of parts
  std::vector<ItemToJoin> joins = {};                 // all of whose parts are
  bool empty() const { return completed + failed + parts == 0; }
};

// Goes to the journal as one; `acks` and `durable` come back when it is durable.
struct Append {
  std::vector<journal::ResultLine> lines;
  std::vector<journal::PartLine> parts;
  std::vector<journal::AttemptNote> attempts;
  journal::JobNote note;
  std::vector<Ack> acks;
  DurableLines durable;
  bool empty() const {
    return lines.empty() && parts.empty() && attempts.empty() && acks.empty() &&
           note.ambiguous == 0;
  }
};

struct Effects {
  std::vector<OfferedCall> offers;
  std::vector<CallId> withdrawn; // somebody else has answered, or the job is cancelled
  Append append;
  std::vector<ItemToJoin> joins;
  bool progress = false;           // counts have changed
  bool all_terminal = false;       // said once, from durable state only
  std::optional<StateChange> stop; // the job cannot or should not go on
};

// What the journal knew when this life of the job began.
struct RecoveredItems {
  ItemSet terminal;
  RecoveredParts parts = {};
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
  // `source` and `plan` outlive it.
  Supervisor(JobId job, Epoch epoch, JobSpec spec, intake::ByteSource& source,
             RecoveredItems recovered, const std::vector<PoolSpec>& pools = {},
             const PartPlan& plan = whole_items);

  Effects started(Time now); // first of all
  Effects wanted(std::uint32_t calls, std::uint64_t bytes, Time now);
  Effects outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random);
  Effects returned(const std::vector<LostCall>& calls, Time now);
  Effects lost(const std::vector<LostCall>& calls, Time now);
  Effects claimed(const std::vector<protocol::Claim>& claims, Time now);
  Effects kept(const std::vector<protocol::Claim>& claims, Time now);
  Effects begun(const std::vector<BegunCall>& calls, Time now);
  // `untold`: calls of which nobody says whether they were made, at most.
  Effects grace_over(Time now, std::uint64_t untold = ~std::uint64_t{0});
  Effects durable(const DurableLines& lines, Time now);
  // `failure`: items cannot be joined; a sentence.
  Effects joined(std::vector<JoinedItem> items, const std::string& failure, Time now);
  Effects cancel(Time now);
  Effects pause(Time now);
  // `probing`: only to see whether what paused it is over.
  Effects resume(Time now, bool probing = false);
  Effects tick(Time now);
  // For calls that are lost; it is in the journal already.
  Effects charged(Usd cost);

  Time wake_at() const; // when tick() has something to do
  // After started(): the input could not be opened for want of descriptors. Nothing has begun: a
  // new supervisor may find some later.
  const std::string& must_wait() const { return reader_.must_wait(); }
  JobCounts counts() const;
  bool reading() const { return !reader_.is_at_end(); }
  // Why no call is offered though there may be room; none = that is not the reason.
  WaitReason why_waiting(Time now) const;
  ItemStanding standing(const ItemQuestion& question, Time now);
  double items_left() const; // an estimate until all is read
  ErrorBook& errors() { return errors_; }
  const Outage& outage() const { return verdict_.outage(); }
  std::uint64_t next_call() const { return offers_.next_call().value; }

private:
  struct Moment {
    Time now;
    Random& random;
  };
  // Who ends, kept while the ledger forgets it.
  struct Ending {
    PartId part;
    intake::ItemPlace place;
    std::string id;
    std::uint32_t tries = 0;
  };

  // Reading.
  void expect(intake::Item item, Effects& effects);
  void divide(const intake::Item& item, std::uint32_t parts, Effects& effects);
  OpenPart opened(const PartId& part, const intake::Item& item, PartState state);
  bool caught_up(Time now, Effects& effects);
  bool read_next(Time now, Effects& effects);
  bool take_up(intake::Item item, Time now, Effects& effects);
  void end_bad(const intake::Item& item, Effects& effects);
  bool may_read() const;
  void check_count(Effects& effects);

  // Offering.
  void fill(Time now, Effects& effects);
  void offer_next(Time now, Effects& effects);
  bool offer_again(const PartId& part, Time now, Effects& effects);
  void offer(const PartId& part, std::string item, Time now, Effects& effects);
  void leave(Effects& effects);
  void hedge(Time now, Effects& effects);
  void offer_second(CallId first, Effects& effects);

  // Ends.
  void accept(ReportedOutcome& call, Time now, Random& random, Effects& effects);
  std::vector<PartId> heard_of(const ReportedOutcome& call, Effects& effects);
  void heard_answer(const ReportedOutcome& call, Time now, Effects& effects);
  void decide(const PartId& part, const ReportedOutcome& call, const protocol::Reply& reply,
              Moment moment, Effects& effects);
  void carry_out(const PartId& part, const ReportedOutcome& call, const protocol::Reply& reply,
                 Judgement judgement, Effects& effects);
  protocol::Reply reply_to(const PartId& part, const protocol::Outcome& outcome) const;
  bool is_answered(const PartId& part, const protocol::Outcome& outcome) const;
  Case case_of(const PartId& part, const protocol::Reply& reply) const;
  void apart(const PartId& part, CallId call, Time now, Effects& effects);
  void pay(const Debts::Debt& debt, Time now, Effects& effects);
  void poison(const PartId& part, const ReportedOutcome& call, Time now, Effects& effects);
  void fall_back(const PartId& part, CallId call, Time now, Effects& effects);
  void wait_again(const PartId& part, CallId failed, Time not_before);
  void gone(const PartId& part, CallId call, Time now, Effects& effects);
  void again(const PartId& part, CallId lost, Time now, Effects& effects);
  void withdraw_others(const PartId& part, CallId but, Effects& effects);
  void finish(const Ending& ending, const protocol::Reply& reply, const std::string& endpoint,
              Effects& effects);
  void give_up(const Ending& ending, NoCall why, Effects& effects);
  Ending ending_of(const PartId& part) const;
  void cancel_live(bool out_too, Effects& effects);
  bool of_earlier_life(CallId call) const { return call.epoch() != offers_.next_call().epoch(); }
  journal::AttemptNote note_of(const PartId& part) const;
  void meet(const protocol::Reply& reply, const Ending& ending);
  std::string described(const Ending& ending, const protocol::Reply& reply) const;
  void stop(std::optional<StateChange> stop, Effects& effects);
  void fail(std::optional<StateChange> failure, Effects& effects);
  ItemToJoin to_join(std::uint64_t item) const;
  InputPosition low() const;
  Effects& sealed(Effects& effects);

  JobId job_;
  JobSpec spec_;
  const PartPlan& plan_;
  Offers offers_;
  Turns turns_;
  mutable Reader reader_; // says of a place where it stands
  PartLedger ledger_;
  CallBook book_;
  Verdict verdict_;
  Hedging hedging_;
  ErrorBook errors_;               // of all ends of calls, and of items that had none
  std::optional<Duration> waited_; // before our life began
  JobCounts counts_;               // completed and failed: durable ones
  bool begun_;                     // an earlier life has called or ended items
  bool may_have_called_;
  std::uint64_t calls_at_once_; // of an earlier life
  std::uint64_t undurable_lines_ = 0;
  bool grace_ = true, cancelling_ = false, said_all_ = false, failed_ = false, paused_ = false;
  bool probing_ = false;      // since it was resumed so, nothing was answered
  bool more_to_read_ = false; // a slice ended before its work did
  Time cancel_deadline_ = never;
};

} // namespace gristmill::supervisor
