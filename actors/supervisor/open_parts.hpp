// OPEN PARTS: which part is with which call. It keeps PART LEDGER (the parts) and CALL BOOK (the
// calls) together: what happens to a call happens to the parts that it carries. What others have to
// hear is given back: calls to withdraw, parts that wait again. After a restart nobody knows what
// workers are calling; until the grace is over, parts wait for somebody to claim their calls.
// Invariant: after each event a part that is out is carried by the call that it names, and the
// parts of a call are out with that call or, if the call is a second one, with the first.
#pragma once

#include "actors/intake/intake.hpp"
#include "actors/supervisor/parts/call_book.hpp"
#include "actors/supervisor/parts/part_ledger.hpp"
#include "actors/supervisor/verdict/verdict.hpp"
#include "actors/words/calls.hpp"
#include "actors/words/input_position.hpp"
#include "actors/words/records.hpp"
#include "protocol/limits.hpp"
#include "protocol/node/messages.hpp"

#include <deque>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::supervisor {

using Parts = std::vector<PartId>;
using Calls = std::vector<CallId>;

class OpenParts {
public:
  // Calls of other epochs were made in an earlier life.
  OpenParts(JobId job, Epoch epoch, ItemSet terminal = {}, RecoveredParts recovered = {})
      : job_{job}, epoch_{CallId::of(epoch, job, 1).epoch()}, ledger_{std::move(terminal),
                                                                      std::move(recovered)} {}

  const PartLedger& ledger() const { return ledger_; }
  const CallBook& calls() const { return book_; }
  const OpenPart* find(const PartId& part) const { return ledger_.find(part); }
  const OpenPart& at(const PartId& part) const { return ledger_.at(part); }
  const Call* find(CallId call) const { return book_.find(call); }
  bool of_earlier_life(CallId call) const { return call.epoch() != epoch_; }
  // Where reading would go on in another life, now that it has come to `read`.
  InputPosition low(const InputPosition& read) const;

  // An item that was read: those of its parts that are to be opened first, at most so many of each
  // model. There is none if an earlier life has ended all of them and did not come to join them.
  Parts divide(const intake::Item& item, const Division& division, std::uint32_t most);
  // A level of a divided item is over and durable: parts that are open from now on.
  Parts go_on(std::uint64_t item, std::uint32_t model, std::uint32_t most, Time now);
  // Of items whose parts have ended further ones are open from now on.
  void open_more(Time now);
  // Parts that wait to be opened are not asked any more: of this item, or of all. Those that are
  // open now are to be ended, and say so.
  Parts drop_waiting(std::uint64_t item);
  Parts drop_waiting();
  // Somebody names a part that waits to be opened: an earlier life has opened it.
  // False: it does not wait so.
  bool open_named(const PartId& part, Time now);
  bool has_room() const { return ledger_.live_count() < limits::live_parts_max; }
  // One of them; with `Out{}` it is about to be offered.
  const OpenPart& open(const PartId& part, const intake::Item& item, PartState state);
  // What was looked at ahead is told anew when it is read: with the counts of all before it …
  void set_place(const intake::Item& item) { ledger_.set_place(job_, item.ordinal, item.place); }
  // … and a part under the name that its item has then.
  void set_read(const PartId& part, const intake::Item& item) {
    ledger_.set_read(part, item.place, item.id);
  }
  void end(const PartId& part, bool failed = false, std::uint32_t size = 0);
  void end_item(std::uint64_t item) { ledger_.end_item(item); }

  // Calls that are made. A part is out from when it is gathered for a call on.
  void set_fallback(const PartId& part, bool there_is_one) {
    ledger_.set_fallback(part, there_is_one);
  }
  void set_out(const PartId& part, CallId call) { ledger_.set_out(part, call); }
  void wait(const PartId& part, Time not_before) { ledger_.wait(part, not_before); }
  // What it asks is being made, or looked up; it is with no call yet.
  void prepare(const PartId& part) { ledger_.set_prepared(part); }
  void follow(const PartId& part) { ledger_.set_following(part); }
  void set_request(const PartId& part, const AskedRequest& request) {
    ledger_.set_request(part, request);
  }
  bool is_prepared(const PartId& part) const;
  void open_call(CallId call, Parts parts) { book_.open(call, std::move(parts)); }
  void open_second(CallId first, CallId second) { book_.open_second(first, second); }
  void set_hedged(CallId call) { book_.set_hedged(call); }
  void begun(const BegunCall& call, Time now);

  // After a restart.
  Calls claimed(const protocol::Claim& claim, Time now); // to be withdrawn
  void kept(const protocol::Claim& claim);
  struct Unclaimed {
    Parts parts;               // that wait again
    std::uint64_t unheard = 0; // … of whose last call nothing is known
  };
  Unclaimed grace_over(Time now);

  // Ends of calls.
  // Whether this call's outcome decides the part: it is out with it, or perhaps is, or waits since
  // the call was lost.
  bool hears(const PartId& part, CallId call) const;
  // It ended without an answer and without fault of its parts: those that have no other call wait
  // again.
  Parts gone(CallId call, Time now);
  struct Loss {
    Parts parts;                       // that the call carried
    Parts waiting;                     // … and that wait again
    std::optional<PartId> quarantined; // … or is to be ended, after so many deaths of workers
    bool died = false;                 // a worker has, with the call
  };
  Loss lost(const LostCall& lost, Time now);
  void close(CallId call) { book_.close(call); }
  // It is out no more with any call but this one. Calls that carried nothing else are given back.
  Calls withdraw_others(const PartId& part, CallId but);
  // All that is open ends, or what is not with a call.
  struct Withdrawn {
    Parts parts; // to be ended
    Calls calls;
  };
  Withdrawn withdraw_all(bool out_too);

  // What becomes of a part after an attempt.
  void tried(const PartId& part);
  void judged(const PartId& part, const Judgement& judgement);
  // It waits for another attempt. After a restart the failure may be an old one that is told again:
  // then the part waits for the claim of whoever has made its next call meanwhile.
  void again(const PartId& part, CallId failed, Time not_before);
  void failed_at(const PartId& part, EndpointId endpoint) { ledger_.failed_at(part, endpoint); }
  // It begins anew at its other model, with the call `next`.
  void fall_back(const PartId& part, CallId next);
  void set_repair(const PartId& part, protocol::Repair repair) {
    ledger_.set_repair(part, std::move(repair));
  }
  // Parts that were too many together go in calls of half as many.
  void divide(const Call& call);
  void apart(const PartId& part, CallId call, Time now);
  // True: what it has consumed has changed.
  bool pay(const Debts::Debt& debt, Time now);
  journal::AttemptNote note_of(const PartId& part) const;
  void clear(const PartId& part) { ledger_.clear(part); }
  void end_of_outage(Time began, Time now) { ledger_.end_of_outage(began, now); }

  void invariant() const { ledger_.invariant(); } // O(1)
  void walk() const;                              // looks at each part and each call

private:
  bool awaits(const OpenPart& open, const PartId& part, CallId kept) const;
  Parts named(std::uint64_t item, const std::vector<std::uint32_t>& numbers) const;
  void open(const PartId& part, const DividedItem& item, PartState state);
  template <class Change> void change_tally(const PartId& part, Change change);

  JobId job_;
  std::uint32_t epoch_;
  PartLedger ledger_;
  CallBook book_;
  bool grace_ = true;
  std::deque<std::uint64_t> with_more_; // items of which parts wait that may be opened
};

} // namespace gristmill::supervisor
