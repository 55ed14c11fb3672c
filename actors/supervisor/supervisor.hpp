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
//          LookedUp     from JOINER: whether a request was answered before
//   tells  COORDINATOR offers, withdrawals and progress, JOB DESK that all items are terminal;
//          JOURNAL lines and notes; JOINER which items have all their parts, and what is looked up
//   never  touches a clock, a socket, or a disk other than the job's input
// It joins READER (items), OPEN PARTS (which part is with which call), OFFERS (what is asked),
// TURNS (which part is next), SAME REQUESTS (which parts ask the same), VERDICT (what an outcome
// means), HEDGING (second calls), COURSE (whether the job goes on) and RECORDER (what is written).
// Invariant: the first terminal outcome of a part wins and is appended once; every outcome is
// acknowledged by an append behind it.
#pragma once

#include "actors/kit/random.hpp"
#include "actors/supervisor/course.hpp"
#include "actors/supervisor/hedging.hpp"
#include "actors/supervisor/item_question.hpp"
#include "actors/supervisor/offers.hpp"
#include "actors/supervisor/open_parts.hpp"
#include "actors/supervisor/parts/part_plan.hpp"
#include "actors/supervisor/reader.hpp"
#include "actors/supervisor/recorder.hpp"
#include "actors/supervisor/same_requests.hpp"
#include "actors/supervisor/standing.hpp"
#include "actors/supervisor/turns.hpp"
#include "actors/supervisor/verdict/verdict.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/error_book.hpp"
#include "actors/words/joining.hpp"
#include "actors/words/wait_reason.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::supervisor {

struct Effects {
  std::vector<OfferedCall> offers;
  std::vector<CallId> withdrawn; // somebody else has answered, or the job is cancelled
  Append append;
  std::vector<ItemToJoin> joins;
  std::vector<LookUp> look_ups;
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
  std::vector<journal::AppendNote> appends = {}; // of an open job
  bool is_closed = false;                        // … to which no more come
  std::optional<Duration> outage = {};           // it waited for its endpoint, for so long
};

struct SupervisedJob {
  JobId id;
  Epoch epoch;
  JobSpec spec;
  std::vector<PoolSpec> pools = {};
  std::shared_ptr<const bpe::Tokenizer> tokenizer = {}; // nullptr = its tokens are estimated
  bool by_reference = false; // its texts may stay in a directory that workers share with us
};

class Supervisor {
public:
  // `source` outlives it, and so does `plan`; nullptr = the job's own.
  Supervisor(SupervisedJob job, intake::ByteSource& source, RecoveredItems recovered,
             const PartPlan* plan = nullptr);

  Effects started(Time now); // first of all
  // Room for so many more calls, and bytes of them, of one stream (words/streams.hpp).
  Effects wanted(std::uint32_t stream, std::uint32_t calls, std::uint64_t bytes, Time now);
  Effects outcomes(std::vector<ReportedOutcome> outcomes, Time now, Random& random);
  Effects returned(const std::vector<LostCall>& calls, Time now);
  Effects lost(const std::vector<LostCall>& calls, Time now);
  Effects claimed(const std::vector<protocol::Claim>& claims, Time now);
  Effects kept(const std::vector<protocol::Claim>& claims, Time now);
  Effects begun(const std::vector<BegunCall>& calls, Time now);
  // `untold`: calls of which nobody says whether they were made, at most.
  // How many inputs go together in calls of these models.
  Effects pack_sizes(const std::vector<PackSize>& sizes, Time now);
  Effects grace_over(Time now, std::uint64_t untold = ~std::uint64_t{0});
  Effects durable(const DurableLines& lines, Time now);
  // `failure`: items cannot be joined; a sentence.
  Effects joined(std::vector<JoinedItem> items, const std::string& failure, Time now);
  Effects looked_up(LookedUpAnswers answers, Time now);
  Effects cancel(Time now);
  Effects pause(Time now);
  // `probing`: only to see whether what paused it is over.
  Effects resume(Time now, bool probing = false);
  Effects tick(Time now);
  Effects input_grew(Time now); // or has come to its end
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
  ErrorBook& errors() { return recorder_.errors(); }
  const Outage& outage() const { return verdict_.outage(); }
  std::uint64_t next_call() const { return offers_.next_call().value; }

private:
  Effects filled(Time now);
  Effects sealed();

  // Reading.
  Parts divide(const intake::Item& item);
  std::uint32_t most_open() const;
  void drop_if_cancelled(std::uint64_t item);
  void goes_on(const EndedLevel& level, Time now);
  void expect(const intake::Item& item);
  void expect_key(const PartId& part, const intake::Item& item);
  void open_named(const PartId& part, Time now);
  bool caught_up(Time now);
  bool may_read() const;
  bool read_next(Time now);
  bool take_up(const intake::Item& item, Time now);
  void end_bad(const intake::Item& item);

  // Offering.
  void offer_next(Time now);
  bool offer_again(const PartId& part, Time now);
  void prepare_step(const PartId& part);
  void take_step(const PartId& part, std::string_view answers, Time now);
  void offer(const PartId& part, RawPart raw, Time now);
  bool is_asked_already(const PartId& part, RawPart& raw);
  void leave(Offers::Which which = Offers::Which::all);
  void hedge(Time now);

  // Outcomes.
  void are_called(const protocol::Claim& claim);
  void accept(ReportedOutcome& call, Time now, Random& random);
  Parts heard_of(const ReportedOutcome& call, Time now);
  void heard_answer(const ReportedOutcome& call, Time now);
  void decide(const PartId& part, const ReportedOutcome& call, const protocol::Reply& reply,
              Time now, Random& random);
  Case case_of(const PartId& part, const protocol::Reply& reply) const;

  // Ends.
  void exceeds(const Call& call, const LostCall& lost, Time now);
  void end_if_cancelled(const Parts& parts);
  void end_all(bool out_too);
  void fall_back(const PartId& part, CallId call, Time now);
  void give_up(const PartId& part, NoCall why);
  enum class Origin : std::uint8_t { own_call, earlier_life, equal_request };
  void finish(const PartId& part, const protocol::Reply& reply, const std::string& endpoint,
              Origin origin = Origin::own_call);
  void hand_over(const PartId& part);
  void followers_go_on(const PartId& part, const protocol::Reply& reply,
                       const std::string& endpoint, bool cached);
  void look_up_followers(const AskedRequest& request);
  void end_alike();
  void withdraw(const Calls& calls);
  void stop(std::optional<StateChange> stop);

  JobId job_;
  JobSpec spec_;
  JobParts own_plan_;
  const PartPlan& plan_;
  const bool by_reference_;
  std::shared_ptr<const bpe::Tokenizer> tokenizer_;
  Offers offers_;
  const CallId first_call_ = offers_.next_call(); // of this life of the job
  Turns turns_;
  Reader reader_;
  OpenParts parts_;
  Verdict verdict_;
  Hedging hedging_;
  Recorder recorder_;
  Course course_;
  SameRequests same_;
  Effects effects_;                // of this event, so far
  std::optional<Duration> waited_; // before our life began
  bool begun_;                     // an earlier life has called or ended items
  std::uint64_t calls_at_once_;    // of an earlier life; 0 = it made none at its end
  bool said_all_ = false;
  bool more_to_read_ = false; // a slice ended before its work did
};

} // namespace gristmill::supervisor
