// MONEY ACCOUNT: what one job may cost in its whole life. A call is charged the most that it may
// cost before it is made, and what it has cost when it has ended; a lost one keeps its charge. The
// journal holds a watermark up to which may be charged, so a crash can forget only what the next
// life then takes for spent.
//
// After a crash all below the last watermark counts as spent. What of it was not is given back when
// every session of the earlier lives has said what it holds, and all that was in its hands has
// ended: from then on the costs that the journal has recorded are the truth.
//
// Invariant: the true cost of all calls ever permitted is at most `charged`, which is at most the
// durable watermark, which is at most the cap.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"
#include "protocol/job/usd.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <string_view>

namespace gristmill::rate_limiter {

class MoneyAccount {
public:
  MoneyAccount(JobId job, const JobMoney& money);

  JobId job() const { return job_; }
  // Another cap from now on; what is charged stays charged.
  void set_cap(Usd cap) { cap_ = cap; }
  Usd cap() const { return cap_; }
  Usd charged() const { return charged_; }
  // … of it for calls of which nobody knows what they cost.
  Usd unknown() const { return assumed_ + lost_; }

  struct Refusal {
    Duration wait{};
    std::string_view why;       // static text
    bool spent = false;         // waiting does not help: the cap is reached
    bool being_written = false; // it is a matter of milliseconds
  };
  // Nothing if a call that may cost so much may go now.
  std::optional<Refusal> refuses(Usd most, Time now);
  void draw(Usd most);
  void refund(Usd most); // the call was never sent
  void settle(Usd most, Usd cost);
  void lost(Usd most); // what became of the call is not known

  // Of calls that earlier lives permitted. `claimed`: a worker has it, or its outcome.
  void claimed(AttemptId attempt);
  bool waits_for(AttemptId attempt) const { return earlier_.contains(attempt); }
  void ended(AttemptId attempt, std::optional<Usd> cost);
  // No more of them will come; `all`: every session has told of its own.
  void earlier_lives_told(bool all);

  // A watermark to be journalled, when the next one is due. `number` becomes its name.
  std::optional<journal::MoneyNote> reserve(std::uint64_t number, Time now);
  void durable(std::uint64_t number);
  Time wake_at() const; // when reserve() has something to do though nothing happens

private:
  // Up to here may be charged: a lower watermark that is on its way may be durable already.
  Usd drawable() const { return next_ ? std::min(durable_, next_->watermark) : durable_; }
  Usd ahead() const; // of the charges: what a crash may take
  bool stands_high() const;
  void give_back();
  void end_call();
  void invariant() const;

  JobId job_;
  Usd cap_, charged_;
  Usd lost_;
  std::uint64_t in_flight_ = 0;

  Usd durable_;
  struct Next {
    std::uint64_t number = 0;
    Usd watermark;
  };
  std::optional<Next> next_; // on its way to the disk
  Usd wanted_;               // somebody asked for so much
  // … and may have it, but has not drawn since, because it waits for something else.
  Usd awaited_;
  bool asked_ = false;         // … since reserve() looked
  Time asked_at_{};            // … as it saw
  Time noted_at_{Time::min()}; // last; `never` = it has become durable, nobody has looked since

  // Of the charges: what is held for calls of earlier lives, beyond what is recorded of them, for
  // good; and what of it may come back.
  Usd assumed_, assumed_at_last_, returnable_;
  bool earlier_open_;
  bool told_ = false, assumed_changed_ = false;
  std::set<AttemptId> earlier_; // in the workers' hands
};

} // namespace gristmill::rate_limiter
