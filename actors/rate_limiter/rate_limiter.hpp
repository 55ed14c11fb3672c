// RATE LIMITER: one per cluster. Says which calls may start, and where.
//   hears  Acquire    from COORDINATOR, for calls that a worker could start now
//          Ended      from COORDINATOR, how a permitted call ended, or that it is lost
//          Opened, Announced and their ends from COORDINATOR: which accounts there are
//          Durable    from JOURNAL: a budget block may be drawn from
//   tells  COORDINATOR permits or "wait until, because", at once; JOURNAL blocks to write
//   never  keeps a queue, touches a clock, a socket or an item's content
// Invariant: a permit is drawn from the endpoint's account and from the job's, or from none.
#pragma once

#include "actors/rate_limiter/account.hpp"
#include "actors/rate_limiter/call_tokens.hpp"
#include "actors/rate_limiter/choice/endpoint_book.hpp"
#include "actors/rate_limiter/choice/endpoint_choice.hpp"
#include "actors/rate_limiter/choice/prefix_groups.hpp"
#include "actors/rate_limiter/commit_time.hpp"
#include "actors/rate_limiter/concurrency/found_limits.hpp"
#include "actors/rate_limiter/due_times.hpp"
#include "actors/rate_limiter/health/refusals.hpp"
#include "actors/rate_limiter/mark_book.hpp"
#include "actors/rate_limiter/money/money_book.hpp"
#include "actors/rate_limiter/windows/token_reserve.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

class RateLimiter {
public:
  // `pools`: what calls of a model cost. `first_block`: of those that number attempts.
  explicit RateLimiter(Epoch epoch, std::vector<PoolSpec> pools = {},
                       Duration day = defaults::day_window, std::uint64_t first_block = 1)
      : epoch_{epoch}, day_{day}, next_block_{first_block}, money_{std::move(pools)} {}

  void recovered(const std::vector<journal::BlockNote>& blocks, Time now, bool same_boot);
  void days_recovered(std::vector<journal::DayNote> days);
  void concurrency_recovered(const std::vector<journal::ConcurrencyNote>& notes) {
    found_.recovered(notes);
  }
  void endpoint_added(const EndpointOffer& endpoint, Time now);
  void endpoint_gone(EndpointId id, Time now);
  void job_opened(const JobBudget& job, Time now);
  void job_changed(JobId job, const RateLimits& limits, Time now);
  void share_changed(JobId job, const Share& share);
  void job_closed(JobId job);
  void job_resumed(const JobResumed& job); // endpoints without credit are asked at once

  Granted acquire(const Acquire& acquire, Time now);
  void ended(const Ended& ended, Time now);
  void queue_told(const protocol::QueueReport& report, Time now); // by a worker that asked it
  // A worker is making this call since before our life began.
  void claimed(const ClaimedCall& call);
  // All sessions of earlier lives have said what they hold; or not all, and nobody waits for more.
  void earlier_lives_told(bool all) { money_.earlier_lives_told(all); }
  void durable(std::uint64_t number);

  // Blocks that should be written now.
  std::vector<journal::BlockNote> reserve(Time now);
  struct Marks {
    std::uint64_t number = 0; // names them all
    std::vector<journal::MarkNote> notes;
  };
  Marks reserve_marks(Time now);
  std::vector<journal::MoneyNote> reserve_money(Time now) {
    return money_.reserve(next_number_, now);
  }
  // What the reserves gave is on its way to the journal, or durable, in this order.
  void handed_over(Time now) { commit_time_.asked(now); }
  void written(Time now) { commit_time_.durable(now); }
  // Attempt ids of this life are used up: nothing is permitted any more.
  bool numbers_are_used_up() const { return next_block_ > AttemptId::block_max; }
  // To be durable no later than the blocks that reserve() gave just before.
  std::vector<journal::DayNote> day_notes(Time now);
  // What was learned of the use of tokens since it was noted last.
  std::vector<journal::LearnedNote> learned_notes();
  // How many calls endpoints take up, as was found since.
  std::vector<journal::ConcurrencyNote> concurrency_notes();
  Time wake_at() const; // for reserve_money() and day_notes()
  std::uint32_t in_flight(EndpointId id) const;
  // How an endpoint stands, for people.
  EndpointStanding standing(EndpointId id, Time now) const;
  std::size_t account_count() const { return accounts_.size(); }
  void measure(Sizes& sizes) const;
  std::size_t learned_models(JobId job) const { return jobs_.at(job).reserves.size(); }

private:
  using AccountRef = std::shared_ptr<Account>;
  struct Job {
    JobBudget budget;
    AccountRef account;
    Refusals refusals = {};
    // By model, and what of it: see of_input.
    std::map<std::string, std::shared_ptr<TokenReserve>> reserves;
    std::vector<std::weak_ptr<Account>> asked; // of endpoints, that know the job
  };
  struct Out {
    AccountRef endpoint, job;
    CallCharge endpoint_charge;
    Charge job_charge;
    EndpointId endpoint_id;
    JobId job_id;
    TokenLearners learners{}; // from its end
    TokenBound bound{};
    std::uint64_t prefix = 0;
    MoneyCharge money{};
    EndpointHold::Begun asks_again{}; // of an endpoint that refuses the job
  };
  // Where a call goes, or why it may not.
  struct Placed {
    Choice where;
    TokenLearners learners = {};
    Tokens job_tokens{};  // to be drawn from the job's account
    bool exceeds = false; // no endpoint may ever take it
    MoneyCharge money{};
    std::optional<BudgetStop> stop{}; // the job's money is spent
  };

  AccountRef account(const std::string& name, const RateLimits& limits, Time now);
  void settle_limits(const AccountRef& account, Time now);
  void forget_idle_accounts(Time now);
  // Something has happened to it that may change when it is due.
  void touched(const AccountRef& account);
  void look_at_touched(Time now);
  static std::shared_ptr<TokenReserve> reserve_of(Job& job, const std::string& model,
                                                  std::string_view of_what);
  // What is known of calls to a model; and what is to learn of those to one of its endpoints.
  static TokenLearners learned_of(const Job& job, const std::string& model);
  static TokenLearners learners_of(Job& job, const std::string& model, const RateLimits& limits);
  void settle_part(const AccountRef& account, AccountRef& part, std::string_view of_what,
                   std::uint64_t per_minute, Time now);
  void leave(AccountRef& part);
  void learn(Out& out, const protocol::Usage& used, Time now);
  Placed place(const AcquireCall& call, SessionId session, Time now);
  protocol::Permit permit(const AcquireCall& call, Placed placed, Time now);
  std::vector<Endpoint*> usable(const Job& job, const std::string& model, SessionId session);
  void hear_refusal(const Out& out, EndpointNews news, const Ended& ended, Time now);

  Epoch epoch_;
  Duration day_; // its length
  // Blocks that number attempts have the numbers of AttemptId, all others those above.
  std::uint64_t next_block_, next_number_ = AttemptId::block_max + 1;
  CommitTime commit_time_;
  MarkBook marks_;
  std::vector<std::uint64_t> over_; // blocks of accounts that are no more
  std::map<std::string, AccountRef> accounts_;
  // No event walks all accounts: these are the ones with something to do, by name, and when.
  std::vector<AccountRef> touched_; // since they were looked at
  DueTimes<std::string> reserving_; // a block
  DueTimes<std::string> noting_;    // their day
  DueTimes<std::string> leaving_;   // that nobody may name any more
  std::set<std::string> without_credit_;
  std::set<JobId> learned_;                               // something worth a note
  std::unordered_map<std::uint64_t, AccountRef> writing_; // by their block
  // Of earlier lives, for accounts not yet opened.
  std::unordered_map<std::string, std::vector<journal::BlockNote>> spent_;
  Time spent_over_at_{never};
  std::map<std::string, std::vector<journal::DayNote>> days_; // the same of their days
  EndpointBook endpoints_;
  MoneyBook money_;
  PrefixGroups prefixes_;
  FoundLimits found_;
  std::uint64_t choices_ = 0;
  std::unordered_map<JobId, Job> jobs_;
  std::unordered_map<AttemptId, Out> out_;
};

} // namespace gristmill::rate_limiter
