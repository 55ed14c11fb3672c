#include "coordinator/journal/recovery.hpp"

#include "actors/journal/commit_row.hpp"
#include "actors/kit/defaults.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/part_number.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <optional>
#include <set>

namespace gristmill::coordinator {
namespace {

using journal::EntryKind;
using journal::ItemEntry;

// What a journal's tables say, one table after the other, as what a new life of the coordinator
// begins with.
class JournalReading {
public:
  JournalReading(Database& database, AnswerIndex* answers)
      : database_{database}, answers_{answers} {}

  // Of one job, or of all (0). Of all, the commits know after lives() which jobs went on in the
  // last.
  Result<> jobs(JobId only = {});
  Result<> commits(JobId only = {});
  Result<> money(JobId only = {});
  Result<> learned(JobId only = {});
  Result<> errors(JobId only = {});
  Result<> appends(JobId only = {});
  Result<> sessions();
  Result<> lives();
  Result<> marks();
  Result<> crashes();
  Result<> blocks(const std::string& boot_id, Time now);
  Result<> days(Time now);
  Result<> concurrency();
  JournalContent take();

private:
  struct Life {
    std::string boot_id;
    Time started{};
  };
  // What the items of a row add up to.
  struct Sums {
    std::uint64_t reopened = 0, completed = 0, failed = 0, bytes = 0, part_bytes = 0;
    bool operator==(const Sums&) const = default;
  };
  struct Job {
    journal::RecoveredJob recovered;
    JobSegments segments;
    std::map<PartId, journal::AttemptNote> attempts;
  };

  // Calls `use` for every row; it returns a sentence about what is wrong with it, or "".
  template <class Use, class... Args>
  Result<> each(std::string_view sql, Use use, const Args&... args);
  std::string commit(const Statement& row);
  std::string items(Job& job, std::string_view blob, Sums& sums);
  std::string line(Job& job, const journal::ItemEntry& entry, Sums& sums);
  std::string part(Job& job, const journal::ItemEntry& entry, Sums& sums);

  Database& database_;
  AnswerIndex* answers_; // nullptr = they are not asked for
  JournalContent content_;
  std::map<JobId, Job> jobs_;
  std::map<Epoch, Life> lives_;
  bool is_one_job_ = false; // and it goes on, whatever its state says
  std::set<JobId> went_on_; // recorded something in the last life
};

template <class Use, class... Args>
Result<> JournalReading::each(std::string_view sql, Use use, const Args&... args) {
  auto statement = database_.prepare(sql);
  GRISTMILL_TRY(statement);
  statement->start(args...);
  while (true) {
    const auto row = statement->next();
    GRISTMILL_TRY(row);
    if (!*row) return {};
    if (const std::string fault = use(*statement); !fault.empty())
      return fail(ErrorCode::io, fmt::format("the journal contradicts itself: {}; restore the "
                                             "state directory from a copy",
                                             fault));
  }
}

// The part itself if it may follow the one before it, else one that is missing between them: parts
// of a model are numbered from 0, and so are its levels and the models, behind which the judge
// stands.
PartNumber part_before(const PartNumber& part, const std::optional<PartNumber>& last) {
  if (!last) return {};
  if (part.model == last->model + 1 && part.index == 0 && (part.level == 0 || part.is_judge()))
    return part;
  if (part.model != last->model) return {last->model + 1, 0, 0};
  if (part.level == last->level + 1 && part.index == 0) return part;
  return {part.model, last->level, last->index + 1};
}

// Why an item with these parts cannot have been answered; empty = it can.
std::string unanswered_part(const journal::EndedParts& parts, std::uint64_t item) {
  if (!parts.failed.empty())
    return fmt::format("item {} was answered, but its part {} has failed", item,
                       *parts.failed.begin());
  std::optional<PartNumber> last;
  for (const auto& [part, size] : parts.answered) {
    const PartNumber number = PartNumber::of(part);
    if (const PartNumber wanted = part_before(number, last); wanted != number)
      return fmt::format("item {} was answered, but its part {} has no line", item, wanted.value());
    last = number;
  }
  return {};
}

bool reopen(journal::RecoveredJob& job, std::uint64_t item) {
  if (const auto parts = job.parts.find(item); parts != job.parts.end())
    parts->second.failed.clear();
  for (auto& [cls, items] : job.failed)
    if (items.erase(item)) return job.terminal.erase(item);
  return false;
}

// ---- of one job ------------------------------------------------------------------------------

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
  is_one_job_ = static_cast<bool>(only);
  const auto last = database_.integer("SELECT value FROM meta WHERE key = 'last_position'");
  GRISTMILL_TRY(last);
  content_.recovered.last_position = static_cast<journal::Position>(*last);
  const auto forgotten = database_.integer("SELECT value FROM meta WHERE key = 'last_forgotten'");
  GRISTMILL_TRY(forgotten);
  content_.recovered.last_forgotten = JobId{static_cast<std::uint32_t>(*forgotten)};
  const std::int64_t last_life = lives_.empty() ? 0 : lives_.rbegin()->first.value;
  const std::string columns =
      "SELECT position, job, commits.segment, commits.from_offset, commits.to_offset, reopened, "
      "completed, failed, "
      "attempts, ambiguous, late, prompt_tokens, completion_tokens, low_input, low_offset, "
      "low_line, low_item, items, cost_nano_usd, epoch, p.segment, p.from_offset, p.to_offset, "
      "calls, cached, saved_prompt_tokens, saved_completion_tokens, saved_nano_usd, "
      "cached_prompt_tokens, low_where, low_empty, low_sample, low_normalised, low_mended, "
      "whole_bytes "
      "FROM commits LEFT JOIN part_ranges p USING (job, position) ";
  return each(
      columns + (only ? "WHERE job = ?1 ORDER BY position" : "WHERE ?1 = 0 ORDER BY commits.rowid"),
      [this, last_life](const Statement& row) -> std::string {
        const std::string fault = commit(row);
        const bool has_parts = row.number(20) > 0;
        if (row.integer(19) == last_life &&
            (row.number(6) + row.number(7) + row.number(8) > 0 || has_parts))
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
        job->second.recovered.money_watermark = Usd::from_nano(row.number(1));
        job->second.recovered.money_assumed = Usd::from_nano(row.number(2));
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

Result<> JournalReading::appends(JobId only) {
  return each(
      "SELECT job, number, key, hash, bytes, inputs FROM appends WHERE job = ?1 OR ?1 = 0 "
      "ORDER BY job, number",
      [this](const Statement& row) -> std::string {
        const auto job = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(0))});
        if (job == jobs_.end()) return {};
        journal::RecoveredJob& recovered = job->second.recovered;
        journal::AppendNote note{job->first,
                                 row.number(1),
                                 std::string{row.text(2)},
                                 std::string{row.text(3)},
                                 row.number(4),
                                 {}};
        if (note.closes()) {
          recovered.is_closed = true;
          return {};
        }
        if (note.number != recovered.appends.size() + 1)
          return fmt::format("expected append {} of {}, got {}", recovered.appends.size() + 1,
                             to_string(job->first), note.number);
        for (std::string_view rest = row.text(5); !rest.empty();) {
          const std::size_t end = rest.find('\n');
          auto input = input_spec_from_json(rest.substr(0, end));
          if (!input) return input.error().message;
          note.inputs.push_back(std::move(*input));
          rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
        }
        recovered.appends.push_back(std::move(note));
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
  const std::uint64_t part_bytes = row.number(22) - row.number(21);
  if (sums != Sums{row.number(5), row.number(6), row.number(7), to - from, part_bytes})
    return fmt::format("expected {} reopened items, {} completed and {} failed lines in {} bytes "
                       "and part lines in {}, its items say {}, {}, {}, {} and {}",
                       row.integer(5), row.integer(6), row.integer(7), to - from, part_bytes,
                       sums.reopened, sums.completed, sums.failed, sums.bytes, sums.part_bytes);
  const auto grow = [](auto& segments, std::int64_t segment, std::uint64_t begin, std::uint64_t end,
                       std::uint64_t whole) -> std::string {
    if (segment == 0) return {};
    const auto number = static_cast<std::uint32_t>(segment);
    StoredSegment& known = segments.try_emplace(number, StoredSegment{number}).first->second;
    if (known.bytes != begin)
      return fmt::format("expected to begin at byte {} of segment {}, it begins at {}", known.bytes,
                         segment, begin);
    known.grow(end, whole);
    return {};
  };
  if (auto fault = grow(job.segments.results, row.integer(2), from, to, row.number(34));
      !fault.empty())
    return fault;
  if (auto fault =
          grow(job.segments.parts, row.integer(20), row.number(21), row.number(22), part_bytes);
      !fault.empty())
    return fault;

  const SegmentRange parts{static_cast<std::uint32_t>(row.integer(20)), row.number(21),
                           row.number(22)};
  content_.parts.add(job.recovered.job, row.text(17), parts);
  if (answers_ != nullptr && (is_one_job_ || !is_over(job.recovered.state)))
    answers_->add(job.recovered.job, row.text(17),
                  {static_cast<std::uint32_t>(row.integer(2)), from, to}, parts);

  JobCounts& counts = job.recovered.counts;
  counts.completed += sums.completed;
  counts.failed += sums.failed;
  counts.failed -= sums.reopened;
  counts.calls += row.number(23);
  counts.cached += row.number(24);
  counts.saved_prompt_tokens += row.number(25);
  counts.saved_completion_tokens += row.number(26);
  counts.saved_cost += Usd::from_nano(row.number(27));
  counts.cached_prompt_tokens += row.number(28);
  counts.attempts += row.number(8);
  counts.ambiguous += row.number(9);
  counts.late += row.number(10);
  counts.prompt_tokens += row.number(11);
  counts.completion_tokens += row.number(12);
  counts.cost += Usd::from_nano(row.number(18));
  const InputPosition low{
      static_cast<std::uint32_t>(row.integer(13)),
      row.number(14),
      row.number(15),
      row.number(16),
      {row.number(29), row.number(30), row.number(31), row.number(32), row.number(33)}};
  counts.preprocessed.raise_to(low.before);
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
    std::string fault;
    if (is_note(entry.kind)) {
      const PartId id{job.recovered.job, entry.item, entry.part.value_or(0)};
      const auto parts = job.recovered.parts.find(entry.item);
      const bool ended =
          job.recovered.terminal.contains(entry.item) ||
          (parts != job.recovered.parts.end() && entry.part && parts->second.contains(*entry.part));
      if (!ended)
        job.attempts[id] = {id, entry.attempts, entry.deaths, entry.tries, entry.part.has_value()};
    } else if (entry.kind == EntryKind::reopened) {
      ++sums.reopened;
      if (!reopen(job.recovered, entry.item))
        fault = fmt::format("item {} was reopened, and had not failed", entry.item);
    } else {
      fault = entry.part ? part(job, entry, sums) : line(job, entry, sums);
    }
    if (!fault.empty()) return fault;
  }
}

std::string JournalReading::line(Job& job, const ItemEntry& entry, Sums& sums) {
  const bool failed = entry.kind == EntryKind::failed;
  ++(failed ? sums.failed : sums.completed);
  sums.bytes += entry.bytes;
  if (!job.recovered.terminal.insert(entry.item))
    return fmt::format("item {} has two results", entry.item);
  const auto parts = job.recovered.parts.find(entry.item);
  if (failed) {
    job.recovered.failed[entry.cls].insert(entry.item);
  } else if (parts != job.recovered.parts.end()) {
    if (std::string fault = unanswered_part(parts->second, entry.item); !fault.empty())
      return fault;
    const auto open = job.attempts.lower_bound({job.recovered.job, entry.item, 0});
    if (open != job.attempts.end() && open->first.item == entry.item)
      return fmt::format("item {} was answered, but its part {} has not ended", entry.item,
                         open->first.part);
    job.recovered.parts.erase(parts);
  }
  if (!job.attempts.empty()) job.attempts.erase({job.recovered.job, entry.item, 0});
  return {};
}

std::string JournalReading::part(Job& job, const ItemEntry& entry, Sums& sums) {
  sums.part_bytes += entry.bytes;
  ++job.recovered.counts.parts;
  if (job.recovered.terminal.contains(entry.item))
    return fmt::format("part {} of item {} ended after its item", *entry.part, entry.item);
  journal::EndedParts& parts = job.recovered.parts[entry.item];
  if (parts.contains(*entry.part))
    return fmt::format("part {} of item {} has two lines", *entry.part, entry.item);
  if (entry.kind == EntryKind::failed)
    parts.failed.insert(*entry.part);
  else
    parts.answered[*entry.part] = entry.size;
  job.attempts.erase({job.recovered.job, entry.item, *entry.part});
  return {};
}

JournalContent JournalReading::take() {
  for (auto& [id, job] : jobs_) {
    for (const auto& [part, note] : job.attempts) job.recovered.attempts.push_back(note);
    content_.recovered.jobs.push_back(std::move(job.recovered));
    content_.segments.push_back(std::move(job.segments));
  }
  return std::move(content_);
}

// ---- of earlier lives -------------------------------------------------------------------------

Result<> JournalReading::sessions() {
  return each("SELECT session, worker, process, calls FROM sessions ORDER BY session",
              [this](const Statement& row) -> std::string {
                content_.recovered.sessions.push_back(
                    {SessionId{row.number(0)}, std::string{row.text(1)}, Nonce{row.number(2)}, true,
                     static_cast<std::uint32_t>(row.number(3))});
                return {};
              });
}

Result<> JournalReading::lives() {
  return each("SELECT epoch, boot_id, started_ns FROM epochs",
              [this](const Statement& row) -> std::string {
                lives_[Epoch{static_cast<std::uint32_t>(row.integer(0))}] = {
                    std::string{row.text(1)}, time_from_ns(row.integer(2))};
                return {};
              });
}

// The last life crashed unless it says that it ended. A job is suspected if it ran, a worker was
// there to call for it, and not one outcome was recorded; without a worker nothing is known of it.
Result<> JournalReading::crashes() {
  const std::int64_t last = lives_.empty() ? 0 : lives_.rbegin()->first.value;
  const auto ended =
      database_.integer("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'ended_epoch'");
  GRISTMILL_TRY(ended);
  if (last == 0 || *ended == last) return {};
  std::map<JobId, std::uint32_t> before;
  const auto count = [&](const Statement& row) -> std::string {
    before[JobId{static_cast<std::uint32_t>(row.integer(0))}] =
        static_cast<std::uint32_t>(row.integer(1));
    return {};
  };
  GRISTMILL_TRY(each("SELECT job, count FROM crashes", count));
  const auto worked =
      database_.integer("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'worker_epoch'");
  GRISTMILL_TRY(worked);
  const bool had_worker = *worked == last;
  for (auto& [id, job] : jobs_) {
    if (job.recovered.state != JobState::running || went_on_.contains(id)) continue;
    const std::uint32_t crashes = before[id] + (had_worker ? 1 : 0);
    job.recovered.crashes = crashes;
    if (crashes > 0) content_.crashes[id] = crashes;
  }
  return each(
      "SELECT job, ends FROM probation WHERE epoch = ?",
      [this](const Statement& row) -> std::string {
        const JobId id{static_cast<std::uint32_t>(row.integer(0))};
        if (content_.crashes.contains(id))
          jobs_.at(id).recovered.probation_ends = static_cast<std::uint32_t>(row.integer(1)) + 1;
        return {};
      },
      last);
}

Result<> JournalReading::marks() {
  return each("SELECT job, mark FROM marks", [this](const Statement& row) -> std::string {
    const auto job = jobs_.find(JobId{static_cast<std::uint32_t>(row.integer(0))});
    if (job != jobs_.end()) job->second.recovered.mark = row.number(1);
    return {};
  });
}

// Times of another boot cannot be compared with ours, but their distances among themselves can,
// and everything of that boot was over when the first life of ours began.
Result<> JournalReading::blocks(const std::string& boot_id, Time now) {
  Time first = now;
  for (const auto& [epoch, life] : lives_)
    if (life.boot_id == boot_id) first = std::min(first, life.started);

  std::map<std::string, Time> newest; // by boot
  auto read = each(
      "SELECT epoch, max(until_ns) FROM blocks WHERE until_ns < ? GROUP BY epoch",
      [&](const Statement& row) -> std::string {
        Time& until = newest[lives_[Epoch{static_cast<std::uint32_t>(row.integer(0))}].boot_id];
        until = std::max(until, time_from_ns(row.integer(1)));
        return {};
      },
      to_ns(never));
  GRISTMILL_TRY(read);

  const Duration memory = defaults::block_memory;
  for (const auto& [epoch, life] : lives_) {
    const bool ours = life.boot_id == boot_id;
    const Time over = ours                    ? now - memory
                      : first <= now - memory ? never
                                              : newest[life.boot_id] - memory;
    content_.blocks_over[epoch] = over;
    read = each(
        "SELECT block, account, coalesce(drawn_calls, calls), coalesce(drawn_tokens, tokens), "
        "until_ns FROM blocks WHERE epoch = ? AND until_ns > ? ORDER BY block",
        [&](const Statement& row) -> std::string {
          content_.recovered.blocks.push_back(
              {.block = row.number(0),
               .account = std::string{row.text(1)},
               .calls = row.number(2),
               .tokens = row.number(3),
               .until = ours ? time_from_ns(row.integer(4)) : first});
          return {};
        },
        epoch.value, to_ns(over));
    GRISTMILL_TRY(read);
  }

  auto& recovered = content_.recovered;
  recovered.epoch = Epoch{lives_.empty() ? 1 : lives_.rbegin()->first.value + 1};
  recovered.same_boot = lives_.empty() || lives_.rbegin()->second.boot_id == boot_id;
  return {};
}

// The clock of another boot says nothing, but how far that boot had come is noted: what was left of
// a bucket then is left of it now. How long the machine was off nobody can prove.
Result<> JournalReading::days(Time now) {
  const auto came = database_.integer("SELECT coalesce(max(value), 0) FROM meta "
                                      "WHERE key = 'days_ns'");
  GRISTMILL_TRY(came);
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

Result<> JournalReading::concurrency() {
  return each("SELECT account, calls, rising, inputs FROM concurrency ORDER BY position, account",
              [this](const Statement& row) -> std::string {
                const auto number = [&row](int column) {
                  return static_cast<std::uint32_t>(
                      std::clamp<std::int64_t>(row.integer(column), 0, UINT32_MAX));
                };
                content_.recovered.concurrency.push_back(
                    {std::string{row.text(0)}, number(1), row.integer(2) != 0, number(3)});
                return {};
              });
}

} // namespace

Result<JournalContent> read_journal(Database& database, const std::string& boot_id, Time now,
                                    AnswerIndex* answers) {
  JournalReading reading{database, answers};
  GRISTMILL_TRY(reading.jobs());
  GRISTMILL_TRY(reading.lives());
  GRISTMILL_TRY(reading.commits());
  GRISTMILL_TRY(reading.money());
  GRISTMILL_TRY(reading.learned());
  GRISTMILL_TRY(reading.errors());
  GRISTMILL_TRY(reading.appends());
  GRISTMILL_TRY(reading.sessions());
  GRISTMILL_TRY(reading.crashes());
  GRISTMILL_TRY(reading.marks());
  GRISTMILL_TRY(reading.blocks(boot_id, now));
  GRISTMILL_TRY(reading.days(now));
  GRISTMILL_TRY(reading.concurrency());
  return reading.take();
}

Result<journal::RecoveredJob> read_journal_job(Database& database, JobId job,
                                               AnswerIndex* answers) {
  JournalReading reading{database, answers};
  GRISTMILL_TRY(reading.jobs(job));
  GRISTMILL_TRY(reading.commits(job));
  GRISTMILL_TRY(reading.money(job));
  GRISTMILL_TRY(reading.learned(job));
  GRISTMILL_TRY(reading.errors(job));
  GRISTMILL_TRY(reading.appends(job));
  JournalContent content = reading.take();
  if (content.recovered.jobs.empty())
    return fail(ErrorCode::not_found, fmt::format("the journal knows no {}", to_string(job)));
  return std::move(content.recovered.jobs.front());
}

} // namespace gristmill::coordinator
