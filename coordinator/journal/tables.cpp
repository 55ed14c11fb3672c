#include "coordinator/journal/tables.hpp"

#include "actors/journal/passing.hpp"
#include "coordinator/journal/mark.hpp"
#include "coordinator/journal/schema.hpp"
#include "protocol/limits.hpp"

#include <fmt/format.h>
#include <unistd.h>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::int64_t application_id = journal_application_id;
constexpr std::int64_t check_bytes_max = 256 << 20; // beyond it a whole check takes too long
constexpr int log_pages_max = 4'000, log_pages_max_busy = 16'000;
constexpr auto tidy_days_every = std::chrono::minutes{10};

Result<> refuse_other_files(Database& database, const std::string& path, bool& fresh) {
  const auto tables = database.integer("SELECT count(*) FROM sqlite_master");
  GRISTMILL_TRY(tables);
  const auto application = database.integer("PRAGMA application_id");
  GRISTMILL_TRY(application);
  const auto version = database.integer("PRAGMA user_version");
  GRISTMILL_TRY(version);

  fresh = *tables == 0 && *application == 0;
  if (fresh) return {};
  if (*application != application_id)
    return fail(ErrorCode::conflict,
                fmt::format("expected a journal, {} is a database of another program: choose "
                            "another state directory",
                            path));
  if (*version != schema_version)
    return fail(ErrorCode::conflict,
                fmt::format("expected schema version {}, {} has version {}: finish its jobs with "
                            "the release that wrote it, or choose another state directory",
                            schema_version, path, *version));
  return {};
}

Result<> check_pages(Database& database, const std::string& path) {
  const auto bytes =
      database.integer("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size");
  GRISTMILL_TRY(bytes);
  if (*bytes >= check_bytes_max) return {};
  const auto verdict = database.value("PRAGMA quick_check(1)");
  GRISTMILL_TRY(verdict);
  if (*verdict != "ok")
    return fail(ErrorCode::io,
                fmt::format("expected a whole journal, {} is damaged: {}; restore it from a copy",
                            path, *verdict));
  return {};
}

// The modes that durability rests on, read back because a refused one is not an error.
Result<> set_modes(Database& database, const std::string& path) {
  const auto locking = database.value("PRAGMA locking_mode");
  GRISTMILL_TRY(locking);
  const auto mode = database.value("PRAGMA journal_mode=WAL");
  GRISTMILL_TRY(mode);
  GRISTMILL_TRY(database.execute("PRAGMA synchronous=FULL"));
  const auto synchronous = database.integer("PRAGMA synchronous");
  GRISTMILL_TRY(synchronous);
  if (*locking != "exclusive" || *mode != "wal" || *synchronous != 2)
    return fail(ErrorCode::io,
                fmt::format("expected locking exclusive, journal wal and synchronous "
                            "2 (full) at {}, got {}, {} and {}",
                            path, *locking, *mode, *synchronous));
  return {};
}

} // namespace

// Each has its text in prepare().
struct JournalTables::Statements {
  Statement begin, commit, position, new_job, change_job, forget_job, forget_commits, part_range,
      forget_part_ranges, last_forgotten, commit_row, block, close_block, block_over, mark,
      forget_mark, day, days_over, all_days_over, days_clock, session, session_over, worker_epoch,
      probation, forget_probation, money_watermark, money_assumed, forget_money, learned,
      forget_learned, error, forget_errors, append, forget_appends, concurrency, forget_concurrency,
      answer_file, forget_answer_files;
};

Result<JournalTables> JournalTables::open(const std::string& path) {
  auto database = Database::open(path);
  GRISTMILL_TRY(database);
  JournalTables tables;
  tables.database_ = std::move(*database);
  bool fresh = false;
  GRISTMILL_TRY(refuse_other_files(tables.database_, path, fresh));
  GRISTMILL_TRY(set_modes(tables.database_, path));
  if (fresh) {
    const auto created = tables.database_.execute(
        fmt::format("BEGIN IMMEDIATE; PRAGMA application_id={}; PRAGMA user_version={}; {} COMMIT",
                    application_id, schema_version, schema));
    GRISTMILL_TRY(created);
  } else {
    // What a life before could not sync may stand in the kernel's memory only. Written anew, it is
    // certain before anybody relies on it.
    const auto certain = tables.database_.write_back(Database::Log::empty);
    GRISTMILL_TRY(certain);
    GRISTMILL_TRY(check_pages(tables.database_, path));
  }
  GRISTMILL_TRY(tables.prepare());
  return tables;
}

Result<Database> JournalTables::open_to_look(const std::string& path) {
  auto database = Database::open(path);
  bool fresh = false;
  if (database) GRISTMILL_TRY(refuse_other_files(*database, path, fresh));
  return database;
}

Result<> JournalTables::prepare() {
  sql_ = std::make_shared<Statements>();
  const std::pair<Statement*, std::string_view> statements[] = {
      {&sql_->begin, "BEGIN IMMEDIATE"},
      {&sql_->commit, "COMMIT"},
      {&sql_->position, "UPDATE meta SET value = ? WHERE key = 'last_position'"},
      {&sql_->new_job,
       "INSERT INTO jobs VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT(job) DO UPDATE SET "
       "spec = ?2, directory = ?3, state = ?4, reason = ?5, detail = ?6, ended_at = ?8"},
      {&sql_->change_job,
       "UPDATE jobs SET state = ?2, reason = ?3, detail = ?4, ended_at = ?5 WHERE job = ?1"},
      {&sql_->forget_job, "DELETE FROM jobs WHERE job = ?"},
      {&sql_->forget_commits, "DELETE FROM commits WHERE job = ?"},
      {&sql_->part_range, "INSERT INTO part_ranges VALUES(?, ?, ?, ?, ?)"},
      {&sql_->forget_part_ranges, "DELETE FROM part_ranges WHERE job = ?"},
      {&sql_->answer_file, "INSERT OR IGNORE INTO answer_files VALUES(?, ?)"},
      {&sql_->forget_answer_files, "DELETE FROM answer_files WHERE job = ?"},
      {&sql_->append, "INSERT INTO appends VALUES(?, ?, ?, ?, ?, ?)"},
      {&sql_->forget_appends, "DELETE FROM appends WHERE job = ?"},
      {&sql_->last_forgotten, "UPDATE meta SET value = max(value, ?) WHERE key = 'last_forgotten'"},
      {&sql_->commit_row, "INSERT INTO commits VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,"
                          "?,?,?,?,?,?,?,?,?,?)"},
      {&sql_->block, "INSERT INTO blocks VALUES(?, ?, ?, ?, ?, ?, NULL, NULL)"},
      {&sql_->block_over, "DELETE FROM blocks WHERE epoch = ? AND block = ?"},
      // Of a limiter that has not heard yet that the job is forgotten nothing is kept.
      {&sql_->mark,
       "INSERT INTO marks SELECT ?1, ?2 WHERE EXISTS (SELECT * FROM jobs WHERE job = ?1) "
       "ON CONFLICT(job) DO UPDATE SET mark = max(mark, ?2)"},
      {&sql_->forget_mark, "DELETE FROM marks WHERE job = ?"},
      {&sql_->close_block,
       "UPDATE blocks SET drawn_calls = ?, drawn_tokens = ? WHERE epoch = ? AND block = ?"},
      {&sql_->day,
       "INSERT INTO days VALUES(?1, ?2, ?3, ?4) ON CONFLICT(account, until_ns) DO UPDATE SET "
       "calls = ?3, tokens = ?4"},
      {&sql_->days_over, "DELETE FROM days WHERE account = ? AND until_ns <= ?"},
      {&sql_->all_days_over, "DELETE FROM days WHERE until_ns <= ?"},
      {&sql_->days_clock,
       "INSERT INTO meta VALUES('days_ns', ?1) ON CONFLICT(key) DO UPDATE SET value = ?1"},
      {&sql_->money_watermark,
       "INSERT INTO money(job, watermark_nano_usd) VALUES(?1, ?2) ON CONFLICT(job) DO UPDATE SET "
       "watermark_nano_usd = ?2"},
      {&sql_->money_assumed,
       "INSERT INTO money(job, assumed_nano_usd) VALUES(?1, ?2) ON CONFLICT(job) DO UPDATE SET "
       "assumed_nano_usd = ?2"},
      {&sql_->forget_money, "DELETE FROM money WHERE job = ?"},
      {&sql_->learned, "INSERT OR REPLACE INTO learned SELECT ?1, ?2, ?3 "
                       "WHERE EXISTS (SELECT * FROM jobs WHERE job = ?1)"},
      {&sql_->forget_learned, "DELETE FROM learned WHERE job = ?"},
      {&sql_->error, "INSERT OR REPLACE INTO errors SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 "
                     "WHERE EXISTS (SELECT * FROM jobs WHERE job = ?1)"},
      {&sql_->forget_errors, "DELETE FROM errors WHERE job = ?"},
      {&sql_->forget_concurrency, "DELETE FROM concurrency WHERE account = ?"},
      {&sql_->concurrency, "INSERT OR REPLACE INTO concurrency VALUES(?, ?, ?, ?, ?)"},
      {&sql_->session, "INSERT OR REPLACE INTO sessions VALUES(?, ?, ?, ?)"},
      {&sql_->session_over, "DELETE FROM sessions WHERE session = ?"},
      {&sql_->probation,
       "INSERT INTO probation VALUES(?1, ?2, ?3, 0) ON CONFLICT(job) DO UPDATE SET "
       "ends = iif(item = excluded.item, ends, 0), item = excluded.item, "
       "epoch = excluded.epoch"},
      {&sql_->forget_probation, "DELETE FROM probation WHERE job = ?"},
      {&sql_->worker_epoch, "INSERT OR REPLACE INTO meta VALUES('worker_epoch', ?)"},
  };
  for (const auto& [statement, text] : statements) {
    auto prepared = database_.prepare(text);
    GRISTMILL_TRY(prepared);
    *statement = std::move(*prepared);
  }
  return {};
}

Result<> JournalTables::begin_epoch(const EpochRow& row, const std::map<Epoch, Time>& blocks_over,
                                    const std::map<JobId, std::uint32_t>& crashes,
                                    const std::vector<journal::DayNote>& days) {
  auto no_crashes = database_.prepare("DELETE FROM crashes");
  GRISTMILL_TRY(no_crashes);
  auto crashed = database_.prepare("INSERT INTO crashes VALUES(?, ?)");
  GRISTMILL_TRY(crashed);
  auto trusted =
      database_.prepare("DELETE FROM probation WHERE job NOT IN (SELECT job FROM crashes)");
  GRISTMILL_TRY(trusted);
  auto ended = database_.prepare("UPDATE probation SET ends = ends + 1 WHERE epoch = ?");
  GRISTMILL_TRY(ended);
  auto forget = database_.prepare("DELETE FROM blocks WHERE epoch = ? AND until_ns <= ?");
  GRISTMILL_TRY(forget);
  // The first epoch of our boot says when it began, the last one whether it ended.
  auto forget_epochs = database_.prepare(
      "DELETE FROM epochs WHERE epoch NOT IN (SELECT epoch FROM blocks UNION "
      "SELECT max(epoch) FROM epochs UNION SELECT min(epoch) FROM epochs WHERE boot_id = ?)");
  GRISTMILL_TRY(forget_epochs);
  auto begin = database_.prepare("INSERT INTO epochs VALUES(?, ?, ?, ?, ?)");
  GRISTMILL_TRY(begin);
  auto forget_days = database_.prepare("DELETE FROM days");
  GRISTMILL_TRY(forget_days);
  auto forget_concurrency =
      database_.prepare("DELETE FROM concurrency WHERE account NOT IN "
                        "(SELECT account FROM concurrency ORDER BY position DESC LIMIT ?)");
  GRISTMILL_TRY(forget_concurrency);

  GRISTMILL_TRY(sql_->begin.run());
  for (const auto& [epoch, over] : blocks_over)
    GRISTMILL_TRY(forget->run(epoch.value, to_ns(over)));
  GRISTMILL_TRY(forget_epochs->run(row.boot_id));
  GRISTMILL_TRY(forget_concurrency->run(std::uint64_t{limits::found_limits_max}));
  GRISTMILL_TRY(forget_days->run());
  for (const journal::DayNote& note : days) GRISTMILL_TRY(insert(note));
  GRISTMILL_TRY(sql_->days_clock.run(to_ns(row.started)));
  GRISTMILL_TRY(
      begin->run(row.epoch.value, row.boot_id, row.started_at, to_ns(row.started), ::getpid()));
  GRISTMILL_TRY(no_crashes->run());
  for (const auto& [job, count] : crashes) GRISTMILL_TRY(crashed->run(job.value, count));
  GRISTMILL_TRY(trusted->run());
  GRISTMILL_TRY(ended->run(row.epoch.value - 1));
  epoch_ = row.epoch;
  return sql_->commit.run();
}

Result<> JournalTables::end_epoch() {
  auto ended = database_.prepare("INSERT OR REPLACE INTO meta VALUES('ended_epoch', ?)");
  GRISTMILL_TRY(ended);
  return ended->run(epoch_.value);
}

Result<> JournalTables::write(const journal::Group& group, const std::vector<JobRow>& rows) {
  auto written = insert(group, rows);
  if (written || !journal::passes(written.error().code)) return written;
  // Of some errors SQLite has taken the transaction back itself.
  if (database_.in_transaction())
    if (auto back = database_.execute("ROLLBACK"); !back)
      return fail(ErrorCode::io, back.error().message);
  return written;
}

Result<> JournalTables::insert(const journal::Group& group, const std::vector<JobRow>& rows) {
  GRISTMILL_TRY(sql_->begin.run());
  for (const journal::JobChange& change : group.jobs) GRISTMILL_TRY(insert(change));
  for (const JobId job : group.forgotten) GRISTMILL_TRY(forget(job));
  for (const JobRow& row : rows) GRISTMILL_TRY(insert(group.upto, row));
  for (const journal::BlockNote& block : group.blocks) GRISTMILL_TRY(insert(block));
  for (const journal::MarkNote& note : group.marks) GRISTMILL_TRY(insert(note));
  for (const journal::DayNote& note : group.days) GRISTMILL_TRY(insert(note));
  for (const journal::MoneyNote& note : group.money) GRISTMILL_TRY(insert(note));
  for (const journal::LearnedNote& note : group.learned) GRISTMILL_TRY(insert(note));
  for (const journal::ErrorNote& note : group.errors) GRISTMILL_TRY(insert(note));
  for (const journal::AppendNote& note : group.appends) GRISTMILL_TRY(insert(note));
  for (const journal::ConcurrencyNote& note : group.concurrency) {
    auto done = note.is_gone()
                    ? sql_->forget_concurrency.run(note.account)
                    : sql_->concurrency.run(note.account, note.calls, note.rising ? 1 : 0,
                                            note.inputs, group.upto);
    GRISTMILL_TRY(done);
  }
  for (const journal::ProbationNote& note : group.probation)
    GRISTMILL_TRY(sql_->probation.run(note.job.value, note.item, epoch_.value));
  for (const journal::SessionNote& note : group.sessions) GRISTMILL_TRY(insert(note));
  GRISTMILL_TRY(sql_->position.run(group.upto));
  return sql_->commit.run();
}

Result<> JournalTables::insert(const journal::JobChange& change) {
  const std::int64_t ended_at = change.kept_at();
  if (!change.spec.empty())
    return sql_->new_job.run(change.job.value, change.spec, change.directory, name_of(change.state),
                             name_of(change.reason), change.detail, change.at, ended_at);
  auto changed = sql_->change_job.run(change.job.value, name_of(change.state),
                                      name_of(change.reason), change.detail, ended_at);
  if (changed && database_.changes() != 1)
    return fail(ErrorCode::internal, fmt::format("expected the specification of {} before its "
                                                 "first change, got none",
                                                 to_string(change.job)));
  return changed;
}

Result<> JournalTables::forget(JobId job) {
  GRISTMILL_TRY(sql_->forget_job.run(job.value));
  GRISTMILL_TRY(sql_->forget_commits.run(job.value));
  GRISTMILL_TRY(sql_->forget_part_ranges.run(job.value));
  GRISTMILL_TRY(sql_->forget_answer_files.run(job.value));
  GRISTMILL_TRY(sql_->forget_money.run(job.value));
  GRISTMILL_TRY(sql_->forget_learned.run(job.value));
  GRISTMILL_TRY(sql_->forget_errors.run(job.value));
  GRISTMILL_TRY(sql_->forget_appends.run(job.value));
  GRISTMILL_TRY(sql_->forget_mark.run(job.value));
  GRISTMILL_TRY(sql_->forget_probation.run(job.value));
  return sql_->last_forgotten.run(job.value);
}

Result<> JournalTables::insert(journal::Position position, const JobRow& job) {
  const auto& [row, range, parts] = job;
  const journal::JobNote& note = row.note;
  const Preprocessed& before = note.low.before;
  if (parts.segment != 0)
    GRISTMILL_TRY(
        sql_->part_range.run(row.job.value, position, parts.segment, parts.from, parts.to));
  for (const std::string& file : row.stored_in)
    GRISTMILL_TRY(sql_->answer_file.run(row.job.value, file));
  return sql_->commit_row.run(
      position, epoch_.value, row.job.value, range.segment, range.from, range.to, row.reopened,
      row.completed, row.failed, note.calls, note.attempts, note.ambiguous, note.late, note.cached,
      note.prompt_tokens, note.completion_tokens, note.cached_prompt_tokens, note.cost.nano(),
      note.saved_prompt_tokens, note.saved_completion_tokens, note.saved_cost.nano(),
      note.low.input, note.low.offset, note.low.line, note.low.item, before.where, before.empty,
      before.sample, before.normalised, before.mended, Blob{row.items.blob()}, row.whole_bytes);
}

Result<> JournalTables::insert(const journal::BlockNote& block) {
  for (const journal::DrawnNote& drawn : block.drawn)
    GRISTMILL_TRY(sql_->close_block.run(drawn.calls, drawn.tokens, epoch_.value, drawn.block));
  for (const std::uint64_t over : block.over)
    GRISTMILL_TRY(sql_->block_over.run(epoch_.value, over));
  return sql_->block.run(epoch_.value, block.block, block.account, block.calls, block.tokens,
                         to_ns(block.until));
}

Result<> JournalTables::insert(const journal::AppendNote& note) {
  std::string inputs;
  for (const InputSpec& input : note.inputs) (inputs += to_json(input)) += '\n';
  return sql_->append.run(note.job.value, note.number, note.key, note.hash, note.bytes, inputs);
}

Result<> JournalTables::insert(const journal::MarkNote& note) {
  return sql_->mark.run(note.job.value, note.mark);
}

Result<> JournalTables::insert(const journal::SessionNote& note) {
  if (!note.open) return sql_->session_over.run(note.session.value);
  GRISTMILL_TRY(sql_->worker_epoch.run(epoch_.value));
  return sql_->session.run(note.session.value, note.worker, note.process.value, note.calls);
}

Result<> JournalTables::insert(const journal::DayNote& note) {
  GRISTMILL_TRY(sql_->days_over.run(note.account, to_ns(note.noted_at)));
  // Also of accounts that will write no note any more; a walk through the table.
  if (note.noted_at >= days_tidied_ + tidy_days_every) {
    GRISTMILL_TRY(sql_->all_days_over.run(to_ns(note.noted_at)));
    days_tidied_ = note.noted_at;
  }
  GRISTMILL_TRY(sql_->day.run(note.account, to_ns(note.until), note.calls, note.tokens));
  return sql_->days_clock.run(to_ns(note.noted_at));
}

Result<> JournalTables::insert(const journal::MoneyNote& note) {
  if (note.watermark)
    GRISTMILL_TRY(sql_->money_watermark.run(note.job.value, note.watermark->nano()));
  return note.assumed ? sql_->money_assumed.run(note.job.value, note.assumed->nano()) : Result<>{};
}

Result<> JournalTables::insert(const journal::LearnedNote& note) {
  return sql_->learned.run(note.job.value, note.model, note.tokens);
}

Result<> JournalTables::insert(const journal::ErrorNote& note) {
  const CountedError& error = note.error;
  return sql_->error.run(note.job.value, static_cast<std::int64_t>(error.cls), error.code,
                         error.http_status, error.count, error.final, error.sample, error.item,
                         error.source, error.at);
}

Result<> JournalTables::tidy(bool busy) {
  if (database_.log_pages() < (busy ? log_pages_max_busy : log_pages_max)) return {};
  auto written = database_.write_back(Database::Log::reuse);
  if (!written && journal::passes(written.error().code)) return {};
  return written;
}

void JournalTables::close(bool write_log_back) {
  *sql_ = {};
  database_.close(write_log_back);
}

} // namespace gristmill::coordinator
