// MEMORY STORE: a journal on a disk that the simulator owns. A group becomes durable some time
// after it was handed over, or a crash comes first and it never was, or the disk refuses it.
// Recovery is what a journal must give back; it is written here a second time on purpose, as the
// simple form of what the real store does.
#pragma once

#include "actors/journal/journal_store.hpp"
#include "actors/journal/line_store.hpp"
#include "actors/kit/sizes.hpp"

#include <map>
#include <optional>

namespace gristmill::sim {

class MemoryStore : public journal::LineStore {
public:
  struct Job {
    journal::RecoveredJob known;
    std::map<PartId, journal::AttemptNote> attempts;
    std::vector<journal::ResultLine> lines; // its segments
    std::vector<journal::PartLine> parts;   // likewise
    std::map<RequestKey, std::string> answers;
    bool has_ended(const PartId& part) const;
  };

  void hand_over(journal::Group group) { pending_ = std::move(group); }
  bool busy() const { return pending_.has_value(); }
  const journal::Group& pending() const { return *pending_; }
  journal::Group take_back(); // the disk did not take it
  journal::Position make_durable();
  void crash() { pending_.reset(); }
  // Begins a new epoch. `boot`: how often the machine was started; times of others say nothing.
  journal::Recovered recover(Time now, std::uint32_t boot);
  Result<journal::RecoveredJob> read_job(JobId id) const;
  Result<std::vector<journal::PartLine>> parts_of(JobId job, std::uint64_t item,
                                                  std::uint32_t first, std::uint32_t last) override;
  Result<std::optional<std::string>> answer_to(JobId job, const RequestKey& key) override;
  Result<std::shared_ptr<journal::JobLines>> lines_of(JobId job,
                                                      journal::LineKind kind) const override;

  const std::map<JobId, Job>& jobs() const { return jobs_; }
  const Job* job(JobId id) const;
  // The block that a permit's number names, if it is durable.
  const journal::BlockNote* block(std::uint64_t epoch, std::uint64_t number) const;
  std::size_t blocks() const { return blocks_.size(); }
  std::uint32_t epoch() const { return epoch_; }
  void measure(Sizes& sizes) const; // rows

private:
  struct Life {
    std::uint32_t boot = 0;
    Time started{};
  };
  void reopen(const journal::Reopened& again);
  void add_line(journal::ResultLine line);
  void add_part(journal::PartLine line);
  void add_answer(JobId job, const RequestKey& key, const std::string& line);
  void change(const journal::JobChange& change);
  void add_block(const journal::BlockNote& block);

  std::optional<journal::Group> pending_;
  std::uint32_t epoch_ = 0;
  journal::Position last_ = 0;
  JobId last_forgotten_;
  std::map<JobId, Job> jobs_;
  std::map<std::uint32_t, Life> lives_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, journal::BlockNote> blocks_;
  std::map<std::pair<std::string, Time>, journal::DayNote> days_; // by account and bucket
  Time days_clock_{};
  std::vector<journal::ConcurrencyNote> concurrency_; // one of each account, oldest first
  std::map<SessionId, journal::SessionNote> sessions_;
};

} // namespace gristmill::sim
