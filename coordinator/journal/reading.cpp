// Of JOURNAL READING what belongs to one job: its row, its commits, its money.
#include "coordinator/journal/reading.hpp"

#include "actors/journal/commit_row.hpp"

#include <algorithm>

namespace gristmill::coordinator {

using journal::EntryKind;
using journal::ItemEntry;

namespace {

bool reopen(journal::RecoveredJob& job, std::uint64_t item) {
  for (auto& [cls, items] : job.failed)
    if (items.erase(item)) return job.terminal.erase(item);
  return false;
}

} // namespace

Result<> JournalReading::jobs(JobId only) {
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

Result<> JournalReading::commits(JobId only) {
  const auto last = database_.integer("SELECT value FROM meta WHERE key = 'last_position'");
  if (!last) return tl::unexpected{last.error()};
  content_.recovered.last_position = static_cast<journal::Position>(*last);
  const auto forgotten = database_.integer("SELECT value FROM meta WHERE key = 'last_forgotten'");
  if (!forgotten) return tl::unexpected{forgotten.error()};
  content_.recovered.last_forgotten = JobId{static_cast<std::uint32_t>(*forgotten)};
  const std::int64_t last_life = lives_.empty() ? 0 : lives_.rbegin()->first.value;
  const std::string columns =
      "SELECT position, job, segment, from_offset, to_offset, reopened, completed, failed, "
      "attempts, ambiguous, late, prompt_tokens, completion_tokens, low_input, low_offset, "
      "low_line, low_item, items, cost_nano_usd, epoch FROM commits ";
  return each(
      columns + (only ? "WHERE job = ?1 ORDER BY position" : "WHERE ?1 = 0 ORDER BY rowid"),
      [this, last_life](const Statement& row) -> std::string {
        const std::string fault = commit(row);
        if (row.integer(19) == last_life && row.number(6) + row.number(7) + row.number(8) > 0)
          went_on_.insert(JobId{static_cast<std::uint32_t>(row.integer(1))});
        return fault.empty()
                   ? fault
                   : fmt::format("commit {} of job {}: {}", row.integer(0), row.integer(1), fault);
      },
      only.value);
}

Result<> JournalReading::money(JobId only) {
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

Result<> JournalReading::learned(JobId only) {
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

// Of a class that only a later release knows, nothing can be said.
Result<> JournalReading::errors(JobId only) {
  return each(
      "SELECT job, class, code, http_status, count, final, sample, item, source, at FROM errors "
      "WHERE job = ?1 OR ?1 = 0",
      [this](const Statement& row) -> std::string {
        const auto job = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(0))});
        if (job == jobs_.end() || row.number(1) >= outcome_class_count) return {};
        if (row.number(5) > row.number(4))
          return fmt::format("{} has {} errors of a cause, {} of them final", to_string(job->first),
                             row.number(4), row.number(5));
        job->second.recovered.errors.push_back(
            {static_cast<OutcomeClass>(row.number(1)), std::string{row.text(2)},
             static_cast<std::uint16_t>(row.number(3)), row.number(4), row.number(5),
             std::string{row.text(6)}, std::string{row.text(7)}, std::string{row.text(8)},
             row.integer(9)});
        return {};
      },
      only.value);
}

std::string JournalReading::commit(const Statement& row) {
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

std::string JournalReading::items(Job& job, std::string_view blob, Sums& sums) {
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

JournalContent JournalReading::take() {
  for (auto& [id, job] : jobs_) {
    for (const auto& [item, note] : job.attempts) job.recovered.attempts.push_back(note);
    content_.recovered.jobs.push_back(std::move(job.recovered));
    content_.segments.push_back(std::move(job.segments));
  }
  return std::move(content_);
}

} // namespace gristmill::coordinator
