// Of JOURNAL READING what earlier lives have left, and the order in which all is read.
#include "coordinator/journal/recovery.hpp"

#include "actors/kit/defaults.hpp"
#include "coordinator/journal/reading.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

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
  if (!ended) return tl::unexpected{ended.error()};
  if (last == 0 || *ended == last) return {};
  std::map<JobId, std::uint32_t> before;
  const auto count = [&](const Statement& row) -> std::string {
    before[JobId{static_cast<std::uint32_t>(row.integer(0))}] =
        static_cast<std::uint32_t>(row.integer(1));
    return {};
  };
  if (auto read = each("SELECT job, count FROM crashes", count); !read) return read;
  const auto worked =
      database_.integer("SELECT coalesce(max(value), 0) FROM meta WHERE key = 'worker_epoch'");
  if (!worked) return tl::unexpected{worked.error()};
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
  if (!read) return read;

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
    if (!read) return read;
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

Result<> JournalReading::concurrency() {
  return each(
      "SELECT account, calls, rising FROM concurrency ORDER BY position, account",
      [this](const Statement& row) -> std::string {
        content_.recovered.concurrency.push_back(
            {std::string{row.text(0)},
             static_cast<std::uint32_t>(std::clamp<std::int64_t>(row.integer(1), 0, UINT32_MAX)),
             row.integer(2) != 0});
        return {};
      });
}

Result<JournalContent> read_journal(Database& database, const std::string& boot_id, Time now) {
  JournalReading reading{database};
  if (auto read = reading.jobs(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.lives(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.commits(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.money(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.learned(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.errors(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.sessions(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.crashes(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.marks(); !read) return tl::unexpected{read.error()};
  if (auto read = reading.blocks(boot_id, now); !read) return tl::unexpected{read.error()};
  if (auto read = reading.days(now); !read) return tl::unexpected{read.error()};
  if (auto read = reading.concurrency(); !read) return tl::unexpected{read.error()};
  return reading.take();
}

Result<journal::RecoveredJob> read_journal_job(Database& database, JobId job) {
  JournalReading reading{database};
  if (auto read = reading.jobs(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.commits(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.money(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.learned(job); !read) return tl::unexpected{read.error()};
  if (auto read = reading.errors(job); !read) return tl::unexpected{read.error()};
  JournalContent content = reading.take();
  if (content.recovered.jobs.empty())
    return fail(ErrorCode::not_found, fmt::format("the journal knows no {}", to_string(job)));
  return std::move(content.recovered.jobs.front());
}

} // namespace gristmill::coordinator
