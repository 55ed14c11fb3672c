#include "coordinator/journal_recovery.hpp"

#include "actors/journal/commit_row.hpp"
#include "actors/kit/defaults.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <optional>
#include <set>

namespace gristmill::coordinator {
namespace {

using journal::BlockNote;
using journal::EntryKind;
using journal::ItemEntry;

struct Life {
  std::string boot_id;
  Time started{};
};

// What the items of a row add up to.
struct Sums {
  std::uint64_t reopened = 0, completed = 0, failed = 0, bytes = 0;
  bool operator==(const Sums&) const = default;
};

bool reopen(journal::RecoveredJob& job, std::uint64_t item) {
  for (auto& [cls, items] : job.failed)
    if (items.erase(item)) return job.terminal.erase(item);
  return false;
}

class Reading {
public:
  explicit Reading(Database& database) : database_{database} {}

  // Of one job, or of all (0).
  Result<> jobs(JobId only = {});
  Result<> commits(JobId only = {});
  Result<> money(JobId only = {});
  Result<> learned(JobId only = {});
  Result<> sessions();
  Result<> lives();
  Result<> marks();
  Result<> crashes();
  Result<> blocks(const std::string& boot_id, Time now);
  Result<> days(Time now);
  Result<bool> has_table(std::string_view name);
  JournalContent take();

private:
  struct Job {
    journal::RecoveredJob recovered;
    JobSegments segments;
    std::map<std::uint64_t, journal::AttemptNote> attempts;
  };

  // Calls `use` for every row; it returns a sentence about what is wrong with it, or "".
  template <class Use, class... Args>
  Result<> each(std::string_view sql, Use use, const Args&... args);
  std::string commit(const Statement& row);
  std::string items(Job& job, std::string_view blob, Sums& sums);

  Database& database_;
  JournalContent content_;
  std::map<JobId, Job> jobs_;
  std::map<Epoch, Life> lives_;
};

template <class Use, class... Args>
Result<> Reading::each(std::string_view sql, Use use, const Args&... args) {
  auto statement = database_.prepare(sql);
  if (!statement) return tl::unexpected{statement.error()};
  statement->start(args...);
  while (true) {
    const auto row = statement->next();
    if (!row) return tl::unexpected{row.error()};
    if (!*row) return {};
    if (const std::string fault = use(*statement); !fault.empty())
      return fail(ErrorCode::io, fmt::format("the journal contradicts itself: {}; restore the "
                                             "state directory from a copy",
                                             fault));
  }
}

Result<> Reading::jobs(JobId only) {
  return each(
      "SELECT job, spec, directory, state, reason, detail, created_at, ended_at FROM jobs "
      "WHERE job = ?1 OR ?1 = 0",
      [this](const Statement& row) -> std::string {
        const JobId id{static_cast<std::uint32_t>(row.integer(0))};
        const auto state = job_state_named(row.text(3));
        if (!state) return fmt::format("{} has the state '{}'", to_string(id), row.text(3));
        Job& job = jobs_[id];
        job.recovered.job = job.segments.job = id;
        job.recovered.spec = row.text(1);
        job.recovered.directory = job.segments.directory = row.text(2);
        job.recovered.state = *state;
        job.recovered.reason = job_reason_named(row.text(4)).value_or(JobReason::none);
        job.recovered.detail = row.text(5);
        job.recovered.created_at = row.integer(6);
        job.recovered.ended_at = row.integer(7);
        return {};
      },
      only.value);
}

Result<> Reading::commits(JobId only) {
  const auto last = database_.integer("SELECT value FROM meta WHERE key = 'last_position'");
  if (!last) return tl::unexpected{last.error()};
  content_.recovered.last_position = static_cast<journal::Position>(*last);
  const auto forgotten = database_.integer("SELECT value FROM meta WHERE key = 'last_forgotten'");
  if (!forgotten) return tl::unexpected{forgotten.error()};
  content_.recovered.last_forgotten = JobId{static_cast<std::uint32_t>(*forgotten)};
  return each(
      "SELECT position, job, segment, from_offset, to_offset, reopened, completed, failed, "
      "attempts, ambiguous, late, prompt_tokens, completion_tokens, low_input, low_offset, "
      "low_line, low_item, items, cost_nano_usd FROM commits WHERE job = ?1 OR ?1 = 0 "
      "ORDER BY position, job",
      [this](const Statement& row) -> std::string {
        const std::string fault = commit(row);
        return fault.empty()
                   ? fault
                   : fmt::format("commit {} of job {}: {}", row.integer(0), row.integer(1), fault);
      },
      only.value);
}

Result<> Reading::money(JobId only) {
  const auto known = has_table("money");
  if (!known) return tl::unexpected{known.error()};
  if (!*known) return {}; // of a release without budgets of money
  return each(
      "SELECT job, watermark_nano_usd, assumed_nano_usd FROM money WHERE job = ?1 OR ?1 = 0",
      [this](const Statement& row) -> std::string {
        const auto job = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(0))});
        if (job == jobs_.end()) return {};
        job->second.recovered.money_watermark = row.number(1);
        job->second.recovered.money_assumed = row.number(2);
        return {};
      },
      only.value);
}

Result<> Reading::learned(JobId only) {
  const auto known = has_table("learned");
  if (!known) return tl::unexpected{known.error()};
  if (!*known) return {}; // of a release that learned anew
  return each(
      "SELECT job, model, tokens FROM learned WHERE job = ?1 OR ?1 = 0",
      [this](const Statement& row) -> std::string {
        const JobId id{static_cast<std::uint32_t>(row.integer(0))};
        if (const auto job = jobs_.find(id); job != jobs_.end())
          job->second.recovered.learned.push_back(
              {id, std::string{row.text(1)}, std::string{row.text(2)}});
        return {};
      },
      only.value);
}

Result<bool> Reading::has_table(std::string_view name) {
  const auto count = database_.integer(
      fmt::format("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{}'", name));
  if (!count) return tl::unexpected{count.error()};
  return *count != 0;
}

std::string Reading::commit(const Statement& row) {
  const auto found = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(1))});
  if (found == jobs_.end()) return "there is no such job";
  Job& job = found->second;
  const std::uint64_t from = row.number(3), to = row.number(4);
  if (row.number(0) > content_.recovered.last_position) return "it is after the last position";

  Sums sums;
  if (std::string fault = items(job, row.text(17), sums); !fault.empty()) return fault;
  if (sums != Sums{row.number(5), row.number(6), row.number(7), to - from})
    return fmt::format("expected {} reopened items, {} completed and {} failed lines in {} bytes, "
                       "its items say {}, {}, {} and {}",
                       row.integer(5), row.integer(6), row.integer(7), to - from, sums.reopened,
                       sums.completed, sums.failed, sums.bytes);
  if (const std::int64_t segment = row.integer(2); segment != 0) {
    std::uint64_t& end = job.segments.bytes[static_cast<std::uint32_t>(segment)];
    if (end != from)
      return fmt::format("expected to begin at byte {} of segment {}, it begins at {}", end,
                         segment, from);
    end = to;
  }

  JobCounts& counts = job.recovered.counts;
  counts.completed += sums.completed;
  counts.failed += sums.failed;
  counts.failed -= sums.reopened;
  counts.attempts += row.number(8);
  counts.ambiguous += row.number(9);
  counts.late += row.number(10);
  counts.prompt_tokens += row.number(11);
  counts.completion_tokens += row.number(12);
  counts.cost_nano_usd += row.number(18);
  const InputPosition low{static_cast<std::uint32_t>(row.integer(13)), row.number(14),
                          row.number(15), row.number(16)};
  // A new generation reads from the beginning: nothing says where a reopened item stands.
  if (sums.reopened > 0) job.recovered.low = {};
  job.recovered.low = std::max(job.recovered.low, low);
  if (job.recovered.low.item > job.recovered.terminal.low())
    return fmt::format("reading would go on at item {}, but item {} has no result",
                       job.recovered.low.item, job.recovered.terminal.low());
  return {};
}

std::string Reading::items(Job& job, std::string_view blob, Sums& sums) {
  journal::ItemsReader reader{blob};
  ItemEntry entry;
  while (true) {
    const auto more = reader.next(entry);
    if (!more) return more.error().message;
    if (!*more) return {};
    if (is_note(entry.kind)) {
      if (!job.recovered.terminal.contains(entry.item))
        job.attempts[entry.item] = {job.recovered.job, entry.item, entry.attempts, entry.deaths,
                                    entry.tries};
      continue;
    }
    if (entry.kind == EntryKind::reopened) {
      ++sums.reopened;
      if (!reopen(job.recovered, entry.item))
        return fmt::format("item {} was reopened, and had not failed", entry.item);
      continue;
    }
    const bool failed = entry.kind == EntryKind::failed;
    ++(failed ? sums.failed : sums.completed);
    sums.bytes += entry.bytes;
    if (!job.recovered.terminal.insert(entry.item))
      return fmt::format("item {} has two results", entry.item);
    if (failed) job.recovered.failed[entry.cls].insert(entry.item);
    if (!job.attempts.empty()) job.attempts.erase(entry.item);
  }
}

Result<> Reading::sessions() {
  return each("SELECT session, worker, process FROM sessions WHERE open ORDER BY session",
              [this](const Statement& row) -> std::string {
                content_.recovered.sessions.push_back({SessionId{row.number(0)},
                                                       std::string{row.text(1)},
                                                       Nonce{row.number(2)}, true});
                return {};
              });
}

Result<> Reading::lives() {
  return each("SELECT epoch, boot_id, started_ns FROM epochs",
              [this](const Statement& row) -> std::string {
                lives_[Epoch{static_cast<std::uint32_t>(row.integer(0))}] = {
                    std::string{row.text(1)}, time_from_ns(row.integer(2))};
                return {};
              });
}

// The last life crashed unless it says that it ended. A job is suspected if it ran, a worker was
// there to call for it, and not one outcome was recorded; without a worker nothing is known of it.
Result<> Reading::crashes() {
  const std::int64_t last = lives_.empty() ? 0 : lives_.rbegin()->first.value;
  const auto ended =
      database_.integer("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'ended_epoch'");
  if (!ended) return tl::unexpected{ended.error()};
  if (last == 0 || *ended == last) return {};
  const auto known =
      database_.integer("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = "
                        "'crashes'");
  if (!known) return tl::unexpected{known.error()};
  std::map<JobId, std::uint32_t> before;
  const auto count = [&](const Statement& row) -> std::string {
    before[JobId{static_cast<std::uint32_t>(row.integer(0))}] =
        static_cast<std::uint32_t>(row.integer(1));
    return {};
  };
  if (*known != 0)
    if (auto read = each("SELECT job, count FROM crashes", count); !read) return read;
  std::set<JobId> went_on;
  auto read = each(
      "SELECT DISTINCT job FROM commits WHERE epoch = ? AND completed + failed + attempts > 0",
      [&](const Statement& row) -> std::string {
        went_on.insert(JobId{static_cast<std::uint32_t>(row.integer(0))});
        return {};
      },
      last);
  if (!read) return read;
  bool had_worker = false;
  read = each(
      "SELECT count(*) FROM sessions WHERE session >> 32 = ?",
      [&](const Statement& row) -> std::string {
        had_worker = row.integer(0) > 0;
        return {};
      },
      last);
  if (!read) return read;
  for (auto& [id, job] : jobs_) {
    if (job.recovered.state != JobState::running || went_on.contains(id)) continue;
    const std::uint32_t crashes = before[id] + (had_worker ? 1 : 0);
    job.recovered.crashes = crashes;
    if (crashes > 0) content_.crashes[id] = crashes;
  }
  return {};
}

// Every life's blocks count: one that died before its first block leaves calls of the life before.
Result<> Reading::marks() {
  return each("SELECT CAST(mark.key AS INTEGER), max(mark.value) FROM blocks, "
              "json_each(blocks.marks) AS mark GROUP BY 1",
              [this](const Statement& row) -> std::string {
                const auto job = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(0))});
                if (job != jobs_.end()) job->second.recovered.mark = row.number(1);
                return {};
              });
}

// Times of another boot cannot be compared with ours, but their distances among themselves can,
// and everything of that boot was over when the first life of ours began.
Result<> Reading::blocks(const std::string& boot_id, Time now) {
  Time first = now;
  for (const auto& [epoch, life] : lives_)
    if (life.boot_id == boot_id) first = std::min(first, life.started);

  std::map<std::string, Time> newest; // by boot
  Epoch last;                         // with blocks
  auto read = each(
      "SELECT epoch, max(until_ns) FROM blocks WHERE until_ns < ? GROUP BY epoch",
      [&](const Statement& row) -> std::string {
        const Epoch epoch{static_cast<std::uint32_t>(row.integer(0))};
        last = std::max(last, epoch);
        Time& until = newest[lives_[epoch].boot_id];
        until = std::max(until, time_from_ns(row.integer(1)));
        return {};
      },
      to_ns(never));
  if (!read) return read;

  const Time oldest{now - block_memory};
  for (const auto& [epoch, life] : lives_) {
    const bool ours = life.boot_id == boot_id;
    const Time over = ours ? oldest : first <= oldest ? never : newest[life.boot_id] - block_memory;
    // The newest life's blocks stay for their marks.
    if (epoch < last) content_.blocks_over[epoch] = over;
    read = each(
        "SELECT block, account, coalesce(drawn_calls, calls), coalesce(drawn_tokens, "
        "tokens), until_ns, mark.key, mark.value FROM blocks "
        "LEFT JOIN json_each(blocks.marks) AS mark "
        "WHERE epoch = ? AND until_ns > ? ORDER BY block",
        [&, seen = std::optional<std::uint64_t>{}](const Statement& row) mutable {
          auto& blocks = content_.recovered.blocks;
          if (seen != row.number(0))
            blocks.push_back({.block = row.number(0),
                              .account = std::string{row.text(1)},
                              .calls = row.number(2),
                              .tokens = row.number(3),
                              .until = ours ? time_from_ns(row.integer(4)) : first,
                              .marks = {}});
          seen = row.number(0);
          JobId job;
          if (parse(std::string{row.text(5)}, job))
            blocks.back().marks.emplace_back(job, row.number(6));
          return std::string{};
        },
        epoch.value, to_ns(over));
    if (!read) return read;
  }

  auto& recovered = content_.recovered;
  recovered.epoch = Epoch{lives_.empty() ? 1 : lives_.rbegin()->first.value + 1};
  recovered.same_boot = lives_.empty() || lives_.rbegin()->second.boot_id == boot_id;
  return {};
}

// The clock of another boot says nothing, but how far that boot had come is noted: what was left of
// a bucket then is left of it now. How long the machine was off nobody can prove.
Result<> Reading::days(Time now) {
  const auto known = has_table("days");
  if (!known) return tl::unexpected{known.error()};
  if (!*known) return {}; // of a release without limits per day
  const auto came = database_.integer("SELECT coalesce(max(value), 0) FROM meta "
                                      "WHERE key = 'days_ns'");
  if (!came) return tl::unexpected{came.error()};
  auto& recovered = content_.recovered;
  Duration later{};
  if (!recovered.same_boot) {
    // In whole buckets, or later notes would not meet the same ones.
    const Duration bucket = defaults::bucket_of(defaults::hold_of(defaults::day_window));
    const Duration apart = now - time_from_ns(*came);
    later = (apart / bucket + (apart % bucket > Duration::zero() ? 1 : 0)) * bucket;
  }
  return each("SELECT account, until_ns, calls, tokens FROM days", [&](const Statement& row) {
    const Time until = time_from_ns(row.integer(1)) + later;
    if (until > now)
      recovered.days.push_back(
          {std::string{row.text(0)}, until, row.number(2), row.number(3), now});
    return std::string{};
  });
}

JournalContent Reading::take() {
  for (auto& [id, job] : jobs_) {
    for (const auto& [item, note] : job.attempts) job.recovered.attempts.push_back(note);
    content_.recovered.jobs.push_back(std::move(job.recovered));
    content_.segments.push_back(std::move(job.segments));
  }
  return std::move(content_);
}

} // namespace

Result<JournalContent> read_journal(Database& database, const std::string& boot_id, Time now) {
  Reading reading{database};
  if (auto read = reading.jobs(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.commits(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.money(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.learned(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.sessions(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.lives(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.crashes(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.marks(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.blocks(boot_id, now); !read) return tl::unexpected{read.error()};
  if (auto read = reading.days(now); !read) return tl::unexpected{read.error()};
  return reading.take();
}

Result<journal::RecoveredJob> read_journal_job(Database& database, JobId job) {
  Reading reading{database};
  if (auto read = reading.jobs(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.commits(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.money(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.learned(job); !read) return tl::unexpected{read.error()};
  JournalContent content = reading.take();
  if (content.recovered.jobs.empty())
    return fail(ErrorCode::not_found, fmt::format("the journal knows no {}", to_string(job)));
  return std::move(content.recovered.jobs.front());
}

} // namespace gristmill::coordinator
