// RATE LIMITER: one per cluster. Says which calls may start, and where.
//   hears  Acquire    from COORDINATOR, for calls that a worker could start now, or soon
//          Ended      from COORDINATOR, how a permitted call ended, or that it is lost
//          Opened, Announced and their ends from COORDINATOR: which accounts there are
//          Durable    from JOURNAL: a budget block may be drawn from
//   tells  COORDINATOR permits or "wait until, because", at once; JOURNAL blocks to write
//   never  keeps a queue, touches a clock, a socket or an item's content
// Invariant: a permit is drawn from the endpoint's account and from the job's, or from none.
#pragma once

#include "actors/rate_limiter/account.hpp"
#include "actors/rate_limiter/account_directory.hpp"
#include "actors/rate_limiter/blocks/commit_time.hpp"
#include "actors/rate_limiter/blocks/mark_book.hpp"
#include "actors/rate_limiter/call_tokens.hpp"
#include "actors/rate_limiter/choice/endpoint_book.hpp"
#include "actors/rate_limiter/choice/endpoint_choice.hpp"
#include "actors/rate_limiter/choice/prefix_groups.hpp"
#include "actors/rate_limiter/health/endpoint_reports.hpp"
#include "actors/rate_limiter/health/refusals.hpp"
#include "actors/rate_limiter/learned_tokens.hpp"
#include "actors/rate_limiter/money/money_book.hpp"
#include "actors/rate_limiter/packs/pack_sizes.hpp"
#include "actors/rate_limiter/permit_charge.hpp"
#include "actors/words/permits.hpp"
#include "actors/words/records.hpp"

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

class RateLimiter {
public:
  // `pools`: what calls of a model cost. `first_block`: of those that number attempts.
  explicit RateLimiter(Epoch epoch, std::vector<PoolSpec> pools = {},
                       Duration day = defaults::day_window, std::uint64_t first_block = 1)
      : epoch_{epoch}, next_{first_block}, accounts_{day}, money_{std::move(pools)} {}

  void recovered(const std::vector<journal::BlockNote>& blocks, Time now, bool same_boot) {
    accounts_.recovered(blocks, now, same_boot);
  }
  void days_recovered(std::vector<journal::DayNote> days) {
    accounts_.days_recovered(std::move(days));
  }
  void concurrency_recovered(const std::vector<journal::ConcurrencyNote>& notes) {
    reports_.recovered(notes);
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

  // How many inputs go together, where that has changed.
  std::vector<PackNews> pack_news(Time now);
  // Blocks that should be written now.
  std::vector<journal::BlockNote> reserve(Time now);
  struct Marks {
    std::uint64_t number = 0; // names them all
    std::vector<journal::MarkNote> notes;
  };
  Marks reserve_marks(Time now);
  std::vector<journal::MoneyNote> reserve_money(Time now) {
    return money_.reserve(next_.others, now);
  }
  // What the reserves gave is on its way to the journal, or durable, in this order.
  void handed_over(Time now) { commit_time_.asked(now); }
  void written(Time now) { commit_time_.durable(now); }
  // Attempt ids of this life are used up: nothing is permitted any more.
  bool numbers_are_used_up() const { return next_.attempts_are_used_up(); }
  // To be durable no later than the blocks that reserve() gave just before.
  std::vector<journal::DayNote> day_notes(Time now) {
    return accounts_.day_notes(commit_time_.of_late(now), now);
  }
  // What was learned of the use of tokens since it was noted last.
  std::vector<journal::LearnedNote> learned_notes() { return tokens_.notes(); }
  // How many calls endpoints take up, as was found since.
  std::vector<journal::ConcurrencyNote> concurrency_notes() { return reports_.notes(); }
  // For reserve_money() and day_notes().
  Time wake_at() const { return std::min(money_.wake_at(), accounts_.next_day_notes_at()); }
  std::uint32_t in_flight(EndpointId id) const;
  EndpointStanding standing(EndpointId id, Time now) const; // for people
  std::size_t account_count() const { return accounts_.size(); }
  void measure(Sizes& sizes) const;
  std::size_t learned_models(JobId job) const { return tokens_.models(job); }

private:
  using AccountRef = AccountDirectory::Ref;
  struct Job {
    JobBudget budget;
    AccountRef account;
    Refusals refusals = {};
    std::vector<std::weak_ptr<Account>> asked; // of endpoints, that know the job
  };
  // A permit that is out.
  struct Out {
    PermitCharge charge{};
    EndpointId endpoint{};
    JobId job{};
    TokenLearners learners{}; // from its end
    TokenBound bound{};
    std::uint64_t prefix = 0;
    std::uint32_t parts = 1;
    bool tries_parts = false; // nobody knew whether the endpoint takes so many
    MoneyCharge money{};
    EndpointHold::Begun asks_again{}; // of an endpoint that refuses the job
  };
  // Where a call goes, or why it may not.
  struct Admission {
    Choice where{};
    TokenLearners learners = {};
    Tokens job_tokens{};   // to be drawn from the job's account
    bool exceeds = false;  // no endpoint may ever take it, …
    bool by_parts = false; // … because it has too many
    MoneyCharge money{};
    std::optional<BudgetStop> stop{}; // the job's money is spent
    static Admission waits(WaitKind kind, Time until, std::string because) {
      return {{.reason = {.kind = kind, .until = until, .because = std::move(because)}}};
    }
    static Admission exceeding(std::string because) {
      Admission admission = waits(WaitKind::budget, never, std::move(because));
      admission.exceeds = true;
      return admission;
    }
    static Admission too_many_parts() {
      Admission admission = exceeding("fewer inputs go together now");
      admission.by_parts = true;
      return admission;
    }
  };

  Admission admit(const AcquireCall& call, SessionId session, Time now);
  bool has_plenty(const AcquireCall& call, SessionId session, Time now);
  std::string model_of(const AcquireCall& call) const;
  std::optional<WaitReason> job_refuses(const Job& job, const AcquireCall& call, Tokens tokens,
                                        SessionId session, Time now);
  void take_turns(Job& job, const std::vector<Endpoint*>& served, SessionId session, Time now);
  std::vector<Endpoint*> usable(const Job& job, const std::string& model, SessionId session);
  std::vector<Endpoint*> own_endpoints(const Job& job);
  void hear_of_packs(const Out& out, const Ended& ended, Time now);
  protocol::Permit permit(const AcquireCall& call, Admission admission, Time now);
  void hear_refusal(const Out& out, EndpointNews news, const Ended& ended, Time now);

  Epoch epoch_;
  NoteNumbers next_;
  CommitTime commit_time_;
  MarkBook marks_;
  AccountDirectory accounts_;
  EndpointBook endpoints_;
  MoneyBook money_;
  PrefixGroups prefixes_;
  EndpointReports reports_;
  LearnedTokens tokens_;
  PackSizes packs_;
  std::uint64_t choices_ = 0;
  std::unordered_map<JobId, Job> jobs_;
  std::unordered_map<AttemptId, Out> out_;
};

} // namespace gristmill::rate_limiter
