// The rooms of a coordinator node as the node builds them: each an adapter that hands a message to
// its thinking class and addresses what comes out. Private to the wiring.
#pragma once

#include "actors/joiner/answers.hpp"
#include "actors/joiner/joiner.hpp"
#include "actors/journal/group_commit.hpp"
#include "actors/rate_limiter/rate_limiter.hpp"
#include "actors/wiring/coordinator_node.hpp"

#include <memory>
#include <optional>
#include <vector>

namespace gristmill::wiring {

inline constexpr Address to_coordinator{Recipient::coordinator, {}};
inline constexpr Address to_limiter{Recipient::rate_limiter, {}};
inline constexpr Address to_journal{Recipient::journal, {}};
inline constexpr Address to_joiner{Recipient::joiner, {}};
inline constexpr Address to_gateway{Recipient::gateway, {}};
inline constexpr Address to_store{Recipient::store, {}};
inline constexpr Address to_cache{Recipient::cache, {}};
inline constexpr Address to_shared{Recipient::shared, {}};
inline constexpr Address to_client{Recipient::client, {}};
inline Address to_supervisor(JobId job) {
  return {Recipient::supervisor, job};
}
inline Address to_merger(JobId job) {
  return {Recipient::merger, job};
}

// From one group of outcomes to the next, for which no call waits.
inline constexpr Duration outcomes_gather = std::chrono::milliseconds{10};
// How long a full disk is left alone before it is tried again.
inline constexpr auto full_disk_again_after = std::chrono::seconds{1};

class LimiterRoom : public Room {
public:
  LimiterRoom(journal::Recovered recovered, Time now, std::vector<PoolSpec> pools = {},
              Duration day = defaults::day_window, std::uint64_t first_block = 1);
  void handle(Message message, const Moment& moment, Post& post) override;
  void measure(Sizes& sizes) const override { limiter_.measure(sizes); }

private:
  void on(LimiterNews& news, Time now, Post& post);
  void write_blocks(Time now, Post& post);
  void tell_packs(Time now, Post& post);
  rate_limiter::RateLimiter limiter_;
};

class JournalRoom : public Room {
public:
  // `gather`: how long outcomes, for which no call waits, gather to one group.
  JournalRoom(journal::Position last, Duration gather) : commits_{last, gather} {}
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
  Result<> open_files();
  void append(const journal::AppendNote& note);
  WaitReason waiting(Time now) const;
  supervisor::Effects hear(JobNews& news, Time now);
  void emit(supervisor::Effects effects, const Moment& moment, Post& post);
  void note_errors(bool final, Time now, Post& post);
  void keep_answers(const supervisor::DurableLines& lines, Post& post);
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
  std::string cache_scope_;   // empty = the job has nothing of the cache
  JobCounts counts_;          // of the job's earlier lives
  std::uint64_t appends_ = 0; // that the source has
  bool report_due_ = false;
  Time reported_at_{Time::min()}, errors_noted_at_{Time::min()};
  WaitReason reported_waiting_;
  std::uint64_t reported_failing_ = 0; // calls of an outage
};

class JoinerRoom : public Room {
public:
  explicit JoinerRoom(journal::LineStore* lines) : lines_{lines} {
    if (lines != nullptr) joiner_.emplace(*lines);
  }
  void handle(Message message, const Moment& moment, Post& post) override;
  void measure(Sizes& sizes) const override {
    sizes["joiner.items"] = joiner_ ? joiner_->waiting() : 0;
  }

private:
  void look_up(LookUpAnswers& asked, Post& post);
  void keep(const AnswersDurable& durable, Post& post);
  journal::LineStore* lines_;
  std::optional<joiner::Joiner> joiner_;
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
