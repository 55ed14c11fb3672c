// LEDGER: the simulator's own books, kept from what the endpoint saw and what the disk holds, never
// from what a room says of itself. It knows which call answered which item, who may be excused for
// a call that was made in vain, and what the journal may therefore say.
// Invariant: everything that breaks a promise is told at the event that breaks it.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "protocol/job/usd.hpp"
#include "tests/sim/swarm.hpp"

#include <fmt/format.h>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::sim {

// A call as it left its worker.
struct SentCall {
  AttemptId attempt;
  std::size_t plan = 0, worker = 0;
  std::vector<PartId> parts;
  std::uint64_t process = 0;
};

// A permit as it left the coordinator.
struct Permitted {
  CallId call;
  AttemptId attempt;
  std::size_t worker = 0;
  std::uint64_t process = 0;
  Time now{}; // on the coordinator's clock
  Duration slack{};
};

class Ledger {
public:
  using Violation = std::function<void(std::string)>;
  Ledger(const Swarm& swarm, Violation violation);

  // The journal: what a group says must follow from what was there.
  void committed(const journal::Group& group, std::uint32_t epoch);
  void recovered(const journal::Recovered& recovered);
  std::optional<JobId> job_of(std::size_t plan) const;
  std::optional<std::size_t> plan_of(JobId job) const;
  std::optional<JobState> state_of(JobId job) const; // as the disk holds it
  bool is_known(JobId job) const { return jobs_.contains(job); }

  void welcomed(SessionId session);

  // Calls. `failed`: it brought no answer. What its item may have to pay for that, at most:
  // nothing, a suspicion (an endpoint's fault, after it was sent), or one of its retries.
  enum class Price : std::uint8_t { nothing, suspicion, retry };
  void sent(const SentCall& call);
  void answered(AttemptId attempt);
  void failed(AttemptId attempt, Price most);
  // The coordinator has given a call to a worker, and a permit for it.
  void planned(CallId call, std::vector<PartId> parts) { parts_[call] = std::move(parts); }
  std::vector<PartId> parts_of(CallId call) const {
    const auto it = parts_.find(call);
    return it == parts_.end() ? std::vector<PartId>{} : it->second;
  }
  void permitted(const Permitted& permit);
  CallId call_of(AttemptId attempt) const {
    const auto it = attempts_.find(attempt);
    return it == attempts_.end() ? CallId{} : it->second.id;
  }
  void recorded(AttemptId attempt);

  // A call that is made again is excused when nobody could know what became of it.
  void process_ended(std::uint64_t process);
  // It told of calls that COORDINATOR does not know it had; those that it was given up for are
  // lost.
  void not_believed(std::uint64_t process);
  void session_lost(std::size_t worker);   // the coordinator gave it up
  void calls_given_up(std::size_t worker); // … or some of its calls, whose time was over
  // A worker is there again, and says what it is making: it takes these items from their other
  // calls.
  void back(std::uint64_t process);
  void grace_over(const std::set<std::uint64_t>& processes_heard);
  void coordinator_crashed();
  void room_crashed(JobId job);

  // Before each item, and behind the last, so much of the input is none.
  void expect(std::size_t plan, std::vector<Preprocessed> before) {
    plans_[plan].before = std::move(before);
  }

  // What users did.
  void asked_to_cancel(std::size_t plan) {
    plans_[plan].cancel_asked = plans_[plan].cancelled_once = true;
  }
  void asked_to_go_on(std::size_t plan, bool retry);
  void told(std::size_t plan, JobState state); // an answer said so
  // Money: what the calls of a plan have cost in truth, and the cap that its user gave.
  void paid(std::size_t plan, Usd cost);
  Usd cap(std::size_t plan) const { return plans_[plan].cap; }
  void raised(std::size_t plan, Usd cap) { plans_[plan].cap = cap; }
  void mended(std::size_t plan) { plans_[plan].mended = true; }
  bool is_mended(std::size_t plan) const { return plans_[plan].mended; }
  // Whether its first model can answer the part.
  bool is_bad(std::size_t plan, const PartId& part) const;
  bool is_too_long(std::size_t plan, const PartId& part) const;
  bool is_unruly(std::size_t plan, const PartId& part) const;
  bool is_hopeless(std::size_t plan, const PartId& part) const; // though its answer be repaired
  std::uint64_t items_failed(std::size_t plan) const;
  // An earlier job has asked what the item asks.
  void is_known_before(std::size_t plan, std::uint64_t item) {
    plans_[plan].known_before.insert(item);
  }
  // Of what had not come when somebody cancelled it there is nothing.
  bool may_be_cut(std::size_t plan) const {
    const JobPlan& job = swarm_.jobs[plan];
    return plans_[plan].cancelled_once && (job.grows_for != Duration::zero() || job.appends > 0);
  }
  bool has_answer(std::size_t plan, std::uint64_t item); // … or one that asks the same: durable

private:
  struct Attempt {
    SentCall call;
    enum class State : std::uint8_t { permitted, flying, answered, failed } state{};
    bool excused = false, recorded = false, died = false;
    bool given_up =
        false; // nobody wants its answer: its job failed, or its process was not believed
    CallId id;
    bool is_of_earlier_life = false; // of the coordinator, which had not recorded it
    bool is_second = false;          // permitted beside another call of its item
  };
  struct Part {
    std::optional<OutcomeClass> ended;
    std::uint32_t deaths = 0, failures = 0, faults = 0; // failures: that may count
    std::vector<AttemptId> calls;                       // permitted, of any generation
  };
  struct Item {
    std::optional<OutcomeClass> terminal;
    std::map<std::uint32_t, Part> parts; // by number
    bool has_failed() const;             // one of them
  };
  struct Plan {
    std::vector<Item> items;
    std::vector<Preprocessed> before;
    JobId job;
    Usd cap, paid;
    std::set<std::uint64_t> known_before;
    std::set<CallId> hedged;   // second calls that were made
    std::uint64_t crashes = 0; // of its rooms
    bool cancel_asked = false, retry_asked = false, go_on_asked = false, mended = false;
    bool cancelled_once = false;
    bool held = false, cancel_told = false; // somebody was told that nothing more starts
  };
  struct Job {
    std::size_t plan = 0;
    JobState state = JobState::running;
    std::uint64_t terminal = 0, low = 0;
    Preprocessed before{}; // that the journal knows of
    std::uint64_t appends = 0;
    bool is_closed = false;
  };

  template <class... Args> void broken(fmt::format_string<Args...> text, const Args&... args) {
    violation_(fmt::vformat(text, fmt::make_format_args(args...)));
  }
  void check(const journal::JobChange& change);
  void check(const journal::ResultLine& line);
  void check(const journal::PartLine& line);
  void check_end(const journal::PartLine& line, std::size_t plan);
  Part& part_of(std::size_t plan, const PartId& part) {
    return plans_[plan].items.at(part.item).parts.at(part.part);
  }
  PartId placed(std::size_t plan, const PartId& part) const {
    const JobPlan& job = swarm_.jobs[plan];
    return {part.job, job.twin_of(part.item), job.place_of(part.part)};
  }
  // The part, and those of other items that ask the same.
  template <class Use> void each_twin(std::size_t plan, const PartId& part, Use use);
  bool is_answered(std::size_t plan, const PartId& part);
  template <class Use> void each_part(const SentCall& call, Use use) {
    for (const PartId& part : call.parts) use(part_of(call.plan, part));
  }
  void check_reopened(const journal::Reopened& again);
  void check(const journal::AttemptNote& note);
  void check(const journal::JobNote& note);
  void check(const journal::AppendNote& note);
  void check_dropped(const journal::JobNote& note);
  void check_all_dropped(const journal::JobChange& change);
  bool explained(std::size_t plan, const journal::PartLine& line);
  bool explains(std::size_t plan, const PartId& part, OutcomeClass cls);
  void check_block(const SentCall& call);
  void check_not_called(Attempt& call, const PartId& part, const PartId& twin);
  bool is_beside_another(const SentCall& call, CallId id);
  bool may_fly_beside(Attempt& one, Attempt& other);
  void excuse_plan(std::size_t plan);
  template <class Which> void excuse(Which which, bool deaths);

  const Swarm& swarm_;
  Violation violation_;
  std::vector<Plan> plans_;
  std::map<JobId, Job> jobs_;
  std::map<JobId, std::uint64_t> marks_; // durable
  std::map<std::pair<std::uint64_t, std::uint64_t>, journal::BlockNote> blocks_;
  std::unordered_map<AttemptId, Attempt> attempts_;
  std::unordered_map<CallId, std::vector<PartId>> parts_;
  std::unordered_map<std::uint64_t, std::vector<AttemptId>> of_process_;
  std::set<SessionId> sessions_;
  std::uint64_t crashes_ = 0;
};

} // namespace gristmill::sim
