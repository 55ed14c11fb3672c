#include "coordinator/journal_recovery.hpp"

#include "actors/journal/commit_row.hpp"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <optional>

namespace gristmill::coordinator {
namespace {

using journal::BlockNote;
using journal::EntryKind;
using journal::ItemEntry;

struct Life {
  std::string boot_id;
  Time started{};
};

class Reading {
 public:
  explicit Reading(Database& database) : database_{database} {}

  Result<> jobs();
  Result<> commits();
  Result<> sessions();
  Result<> lives();
  Result<> marks();
  Result<> blocks(const std::string& boot_id, Time now);
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
  std::string items(Job& job, std::string_view blob, std::array<std::uint64_t, 3>& sums);

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

Result<> Reading::jobs() {
  return each("SELECT job, spec, directory, state, detail, created_at, ended_at FROM jobs",
              [this](const Statement& row) -> std::string {
                const JobId id{static_cast<std::uint32_t>(row.integer(0))};
                const auto state = job_state_named(row.text(3));
                if (!state) return fmt::format("{} has the state '{}'", to_string(id), row.text(3));
                Job& job = jobs_[id];
                job.recovered.job = job.segments.job = id;
                job.recovered.spec = row.text(1);
                job.recovered.directory = job.segments.directory = row.text(2);
                job.recovered.state = *state;
                job.recovered.detail = row.text(4);
                job.recovered.created_at = row.integer(5);
                job.recovered.ended_at = row.integer(6);
                return {};
              });
}

Result<> Reading::commits() {
  const auto last = database_.integer("SELECT value FROM meta WHERE key = 'last_position'");
  if (!last) return tl::unexpected{last.error()};
  content_.recovered.last_position = static_cast<journal::Position>(*last);
  return each("SELECT position, job, segment, from_offset, to_offset, completed, failed, attempts, "
              "ambiguous, late, prompt_tokens, completion_tokens, low_input, low_offset, low_line, "
              "low_item, items, cost_nano_usd FROM commits ORDER BY position, job",
              [this](const Statement& row) -> std::string {
                const std::string fault = commit(row);
                return fault.empty() ? fault
                                     : fmt::format("commit {} of job {}: {}", row.integer(0),
                                                   row.integer(1), fault);
              });
}

std::string Reading::commit(const Statement& row) {
  const auto found = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(1))});
  if (found == jobs_.end()) return "there is no such job";
  Job& job = found->second;
  const std::uint64_t from = row.number(3), to = row.number(4);
  if (row.number(0) > content_.recovered.last_position) return "it is after the last position";

  std::array<std::uint64_t, 3> sums{}; // completed, failed, bytes
  if (std::string fault = items(job, row.text(16), sums); !fault.empty()) return fault;
  if (sums != std::array{row.number(5), row.number(6), to - from})
    return fmt::format("expected {} completed and {} failed lines in {} bytes, its items say {}, "
                       "{} and {}",
                       row.integer(5), row.integer(6), to - from, sums[0], sums[1], sums[2]);
  if (const std::int64_t segment = row.integer(2); segment != 0) {
    std::uint64_t& end = job.segments.bytes[static_cast<std::uint32_t>(segment)];
    if (end != from)
      return fmt::format("expected to begin at byte {} of segment {}, it begins at {}", end,
                         segment, from);
    end = to;
  }

  JobCounts& counts = job.recovered.counts;
  counts.completed += row.number(5);
  counts.failed += row.number(6);
  counts.attempts += row.number(7);
  counts.ambiguous += row.number(8);
  counts.late += row.number(9);
  counts.prompt_tokens += row.number(10);
  counts.completion_tokens += row.number(11);
  counts.cost_nano_usd += row.number(17);
  const InputPosition low{static_cast<std::uint32_t>(row.integer(12)), row.number(13),
                          row.number(14), row.number(15)};
  job.recovered.low = std::max(job.recovered.low, low);
  if (job.recovered.low.item > job.recovered.terminal.low())
    return fmt::format("reading would go on at item {}, but item {} has no result",
                       job.recovered.low.item, job.recovered.terminal.low());
  return {};
}

std::string Reading::items(Job& job, std::string_view blob, std::array<std::uint64_t, 3>& sums) {
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
    ++sums[entry.kind == EntryKind::failed];
    sums[2] += entry.bytes;
    if (!job.recovered.terminal.insert(entry.item))
      return fmt::format("item {} has two results", entry.item);
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
  if (auto read = reading.sessions(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.lives(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.marks(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.blocks(boot_id, now); !read) return tl::unexpected{read.error()};
  return reading.take();
}

} // namespace gristmill::coordinator
