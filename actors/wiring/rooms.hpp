// The rooms of a coordinator node as the node builds them: each an adapter that hands a message to
// its thinking class and addresses what comes out. Private to the wiring.
#pragma once

#include "actors/coordinator/probe_wait.hpp"
#include "actors/journal/group_commit.hpp"
#include "actors/rate_limiter/rate_limiter.hpp"
#include "actors/wiring/coordinator_node.hpp"
#include "actors/wiring/job_money.hpp"

#include <set>
#include <unordered_map>

namespace gristmill::wiring {

inline constexpr Address to_coordinator{Place::coordinator, {}};
inline constexpr Address to_limiter{Place::rate_limiter, {}};
inline constexpr Address to_journal{Place::journal, {}};
inline constexpr Address to_gateway{Place::gateway, {}};
inline constexpr Address to_store{Place::store, {}};
inline constexpr Address to_client{Place::client, {}};
inline Address to_supervisor(JobId job) {
  return {Place::supervisor, job};
}
inline Address to_merger(JobId job) {
  return {Place::merger, job};
}

// How long a full disk is left alone before it is tried again.
inline constexpr auto full_disk_again_after = std::chrono::seconds{1};

// What the journal holds of a job whose rooms do not exist.
struct ClosedJob {
  supervisor::RecoveredItems items;
  std::map<OutcomeClass, ItemSet> failed;
};
ClosedJob content_of(journal::RecoveredJob job);
SharedErrors errors_of(const journal::RecoveredJob& job);

class CoordinatorRoom : public Room {
public:
  CoordinatorRoom(const NodeOptions& options, journal::Recovered recovered, Time now);
  void handle(Message message, const Moment& moment, Post& post) override;
  void measure(Sizes& sizes) const override;

private:
  void on(Start, const Moment&, Post&);
  void on(FramesIn&, const Moment&, Post&);
  void on(PeersGone&, const Moment&, Post&);
  void on(Offer&, const Moment&, Post&);
  void on(Granted&, const Moment&, Post&);
  void on(DiskFull&, const Moment&, Post&);
  void on(RoomClosed&, const Moment&, Post&);
  void on(RoomCrashed&, const Moment&, Post&);

  // job_lives.cpp
  void on(JobDurable&, const Moment&, Post&);
  void on(JobReport&, const Moment&, Post&);
  void on(MergeReport&, const Moment&, Post&);
  void open(coordinator::JobEntry& job, supervisor::RecoveredItems items, const Moment&, Post&);
  void close(JobId job, const Moment&, Post&);
  void tell_room(const Address& room, Message message, Post&);
  bool is_ending(JobId job) const;
  void room_gone(const Address& room, const Moment&, Post&);
  void answer_late(JobId job, const Moment&, Post&);
  void hold(JobId job, const Moment&, Post&);
  void probe_endpoints(const Moment&, Post&);
  void mind_outage(coordinator::JobEntry& job, const JobReport& report, const Moment&, Post&);
  void change(JobId job, StateChange to, std::uint64_t token, const Moment&, Post&);
  void suspect(coordinator::JobEntry& job, const Moment&, Post&);
  void trust(coordinator::JobEntry& job, Post&);
  void note_probation(Post&);

  // client_questions.cpp
  void on(Ask&, const Moment&, Post&);
  void on(JobRead&, const Moment&, Post&);
  void on(JobForgotten&, const Moment&, Post&);
  void answer(SubmitJob&, std::uint64_t token, const Moment&, Post&);
  void answer(const CancelJob&, std::uint64_t token, const Moment&, Post&);
  void answer(const PauseJob&, std::uint64_t token, const Moment&, Post&);
  void answer(const ForgetJob&, std::uint64_t token, const Moment&, Post&);
  void answer(ReopenJob&, std::uint64_t token, const Moment&, Post&);
  void answer(const ListJobs&, std::uint64_t token, const Moment&, Post&);
  void answer(const ShowJob&, std::uint64_t token, const Moment&, Post&);
  void answer(const ShowReady&, std::uint64_t token, const Moment&, Post&);
  void answer(const ListWorkers&, std::uint64_t token, const Moment&, Post&);
  void answer(const ListPools&, std::uint64_t token, const Moment&, Post&);
  void answer(const DrainWorker&, std::uint64_t token, const Moment&, Post&);
  void answer(const MergeAgain&, std::uint64_t token, const Moment&, Post&); // job_lives.cpp
  void refuse(std::uint64_t token, ErrorCode code, std::string sentence, Post&);
  void confirm(const coordinator::JobEntry& job, std::uint64_t token, Post&);
  void show(const coordinator::JobEntry& job, std::uint64_t token, const Moment&, Post&);
  coordinator::JobEntry* asked(JobId job, std::uint64_t token, Post&);
  void reopen(coordinator::JobEntry& job, ClosedJob content, ReopenJob& wanted, std::uint64_t token,
              const Moment&, Post&);
  void run_again(coordinator::JobEntry& job, std::optional<JobSpec> spec,
                 std::vector<journal::Reopened> reopened, std::uint64_t token, const Moment&, Post&,
                 bool probing = false);
  bool takes_budget(const coordinator::JobEntry& job, ReopenJob& wanted, std::uint64_t token,
                    Post&);

  // explanations.cpp
  void answer(ExplainJob&, std::uint64_t token, const Moment&, Post&);
  void on(ItemsExplained&, const Moment&, Post&);
  WaitReason reason_of(const coordinator::JobEntry& job, Time now) const;
  const std::string& full_disk_of(JobId job) const;
  // `whole`: the job; else an item of it.
  Explanation explain(const coordinator::JobEntry& job, WaitReason reason, const Moment&,
                      bool whole = true) const;
  void tell_reasons(const Moment&, Post& post);
  void explain_no_items(JobId job, const Moment&, Post&);

  void journal_assumed_money(Post&);
  void emit(coordinator::Effects effects, Post& post);
  void mind_deadlines(const Moment&, Post&);
  JobView view(const coordinator::JobEntry& job, const Moment&) const;

  coordinator::Coordinator coordinator_;
  coordinator::JobDesk desk_;
  bool flat_;
  decltype(NodeOptions::output_path) output_path_;
  std::map<JobId, JobMoney> money_; // as it stands when the job is opened next
  std::map<JobId, std::vector<journal::LearnedNote>> learned_; // likewise
  coordinator::ProbeWait probe_wait_;
  std::map<JobId, ClosedJob> closed_; // as they were recovered, until they are opened
  std::map<JobId, supervisor::RecoveredItems> reopening_; // until the journal has it
  std::set<Address> rooms_;                               // of jobs, that are not known to be gone
  std::map<JobId, std::vector<Ask>> late_; // what is asked of a job whose rooms are about to end
  struct Reading {
    ReopenJob wanted;
    std::uint64_t token = 0;
  };
  std::map<JobId, Reading> reading_; // until the store has read them
  std::set<JobId> forgetting_;       // until the journal has it: nothing else begins with them
  // Sentences about full disks: of the journal, and of results that are being merged. They are in
  // no journal; whoever starts on a full disk finds out anew.
  std::string journal_full_;
  std::map<JobId, std::string> merge_full_;
  std::map<JobId, std::uint64_t> merging_again_; // who asked for it
  std::map<std::uint64_t, JobId> explaining_;    // questions that wait for a supervisor's part
  WaitNews wait_news_;
  std::map<JobId, std::optional<std::uint64_t>> on_probation_; // and the item that was noted last
  Time next_tick_{Time::min()};
};

class LimiterRoom : public Room {
public:
  LimiterRoom(journal::Recovered recovered, Time now, std::vector<PoolSpec> pools = {},
              Duration day = defaults::day_window, std::uint64_t first_block = 1);
  void handle(Message message, const Moment& moment, Post& post) override;
  void measure(Sizes& sizes) const override { limiter_.measure(sizes); }

private:
  void on(LimiterNews& news, Time now, Post& post);
  void write_blocks(Time now, Post& post);
  rate_limiter::RateLimiter limiter_;
};

class JournalRoom : public Room {
public:
  explicit JournalRoom(journal::Position last) : commits_{last} {}
  void handle(Message message, const Moment& moment, Post& post) override;
  void measure(Sizes& sizes) const override { sizes["journal.groups"] = commits_.gathering(); }

private:
  void refused(StoreFailed& failed, Time now, Post& post);

  journal::GroupCommit<Envelope> commits_;
  // While the disk is full: the group that it did not take, and when it is offered again.
  std::optional<journal::Group> refused_;
  Time again_at_{};
  bool full_ = false;
};

class SupervisorRoom : public Room {
public:
  SupervisorRoom(JobId job, Epoch epoch, const NodeOptions& options)
      : job_{job}, epoch_{epoch}, options_{options}, random_{options.random_seed ^ job.value} {}
  void handle(Message message, const Moment& moment, Post& post) override;

private:
  void open(Message message, const Moment& moment, Post& post);
  supervisor::Effects open_now(Time now);
  WaitReason waiting(Time now) const;
  supervisor::Effects hear(JobNews& news, Time now);
  void emit(supervisor::Effects effects, const Moment& moment, Post& post);
  void note_errors(bool final, Time now, Post& post);
  void answer(const ExplainItems& explain, Time now, Post& post);

  JobId job_;
  Epoch epoch_;
  const NodeOptions& options_;
  Random random_;
  std::unique_ptr<intake::ByteSource> source_;
  std::unique_ptr<supervisor::Supervisor> supervisor_;
  // Until its input could be opened once.
  std::unique_ptr<OpenJob> opening_;
  std::vector<Message> early_; // what came meanwhile
  Time open_again_at_{Time::min()};
  WaitReason cannot_open_;
  JobCounts counts_; // of the job's earlier lives
  bool report_due_ = false;
  Time reported_at_{Time::min()}, errors_noted_at_{Time::min()};
  WaitReason reported_waiting_;
  std::uint64_t reported_failing_ = 0; // calls of an outage
};

class MergerRoom : public Room {
public:
  MergerRoom(JobId job, const NodeOptions& options) : job_{job}, options_{options} {}
  void handle(Message message, const Moment& moment, Post& post) override;

private:
  JobId job_;
  const NodeOptions& options_;
  void begin(Time now, Post& post);
  void failed(const Error& error, Time now, Post& post);

  std::optional<merger::MergeTask> task_;
  std::unique_ptr<merger::MergeFiles> files_;
  std::unique_ptr<merger::Merger> merger_;
};

} // namespace gristmill::wiring
