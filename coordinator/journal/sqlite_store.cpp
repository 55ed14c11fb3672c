#include "coordinator/journal/sqlite_store.hpp"

#include "actors/journal/passing.hpp"
#include "actors/kit/check.hpp"
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/journal/recovery.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/rules/by_reference.hpp"

#include <algorithm>
#include <chrono>
#include <exception>
#include <filesystem>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

constexpr Duration publish_interval = std::chrono::milliseconds{100};
constexpr std::uint64_t line_guess = 16u << 10; // of a line whose length is not known
constexpr std::size_t publish_most = 32; // jobs' files at a time: nothing durable waits for them

} // namespace

Result<std::unique_ptr<SqliteStore>> SqliteStore::open(SqliteStoreOptions options,
                                                       journal::JournalEvents events,
                                                       journal::Recovered& recovered) {
  auto directory = take_state_directory(options.directory, options.disk_calls);
  GRISTMILL_TRY(directory);
  const std::string journal = options.directory + "/" + journal_file_name;
  GRISTMILL_TRY(make_journal_private(journal, options.disk_calls));
  auto tables = JournalTables::open(journal);
  GRISTMILL_TRY(tables);
  std::shared_ptr<SharedAnswers> bodies;
  if (options.open_bodies) {
    auto opened = options.open_bodies();
    GRISTMILL_TRY(opened);
    bodies = std::move(*opened);
  }
  auto answers = std::make_unique<AnswerIndex>(options.directory);
  auto content = read_journal(tables->database(), options.boot_id, options.now, answers.get());
  GRISTMILL_TRY(content);

  if (content->recovered.epoch.value > AttemptId::epoch_max)
    return fail(
        ErrorCode::conflict,
        fmt::format("expected fewer than {} starts with one state directory, {} has seen as "
                    "many, and attempt numbers would repeat: choose another for new jobs",
                    AttemptId::epoch_max + 1, options.directory));

  const EpochRow row{content->recovered.epoch, options.boot_id, wall_seconds(), options.now};
  std::unique_ptr<SqliteStore> store{new SqliteStore{std::move(*directory), std::move(*tables),
                                                     std::move(options), std::move(events),
                                                     std::move(answers), std::move(bodies)}};
  auto journal_file = FileIdentity::of(store->directory_.path + "/" + journal_file_name);
  GRISTMILL_TRY(journal_file);
  store->journal_file_ = std::move(*journal_file);
  GRISTMILL_TRY(store->segments_.recover(content->segments));
  GRISTMILL_TRY(store->tables_.begin_epoch(row, content->blocks_over, content->crashes,
                                           content->recovered.days));
  GRISTMILL_TRY(sync_directory(store->directory_.path, store->disk_calls_));
  for (std::string& path : store->segments_.take_forgotten())
    store->sweeper_.remove(std::move(path));
  GRISTMILL_TRY(store->sweep_answers(content->recovered.jobs));
  for (const journal::RecoveredJob& job : content->recovered.jobs)
    if (is_over(job.state)) store->unindexed_.insert(job.job);
  recovered = std::move(content->recovered);
  store->parts_ = std::move(content->parts);
  store->thread_ = guarded_thread("journal", [raw = store.get()] { raw->run(); });
  return store;
}

SqliteStore::SqliteStore(StateDirectory directory, JournalTables tables, SqliteStoreOptions options,
                         journal::JournalEvents events, std::unique_ptr<AnswerIndex> answers,
                         std::shared_ptr<SharedAnswers> bodies)
    : directory_{std::move(directory)}, tables_{std::move(tables)},
      sweeper_{options.disk_calls.remove_tree}, bodies_{std::move(bodies)},
      segments_{directory_.path, options.store_bytes_per_segment, options.disk_calls, bodies_},
      answers_{std::move(answers)}, disk_calls_{std::move(options.disk_calls)}, events_{std::move(
                                                                                    events)} {}

SqliteStore::~SqliteStore() {
  close();
}

// Bodies that no row names do not exist. Sessions of earlier lives tell what they keep by value, so
// nothing will ever name them.
Result<> SqliteStore::sweep_answers(const std::vector<journal::RecoveredJob>& jobs) {
  auto rows = tables_.database().prepare("SELECT file FROM answer_files");
  GRISTMILL_TRY(rows);
  std::set<std::string> named;
  rows->start();
  for (;;) {
    const auto row = rows->next();
    GRISTMILL_TRY(row);
    if (!*row) break;
    named.insert(std::string{rows->text(0)});
  }
  if (!bodies_ && !named.empty())
    return fail(ErrorCode::usage,
                fmt::format("expected --shared with the directory in which answers of these jobs "
                            "stand ({} and {} more), got none",
                            *named.begin(), named.size() - 1));
  if (!bodies_) return {};
  std::set<std::string> known;
  for (const journal::RecoveredJob& job : jobs) known.insert(answers_directory(job.job));
  for (std::string& path : bodies_->sweep(known, named)) sweeper_.remove(std::move(path));
  return {};
}

void SqliteStore::commit(journal::Group group) {
  const std::lock_guard guard{mutex_};
  GRISTMILL_CHECK(!in_flight_, "a group up to {} while another is in flight", group.upto);
  GRISTMILL_CHECK(!closing_ || std::this_thread::get_id() == thread_.get_id(),
                  "a group up to {} after close", group.upto);
  in_flight_ = true;
  waiting_ = std::move(group);
  wake_.notify_one();
}

void SqliteStore::read_job(JobId job) {
  const std::lock_guard guard{mutex_};
  to_read_.push_back(job);
  wake_.notify_one();
}

Result<std::shared_ptr<journal::JobLines>> SqliteStore::lines_of(JobId job, LineKind kind) const {
  return segments_.durable(job, kind);
}

Result<std::vector<journal::PartLine>>
SqliteStore::parts_of(JobId job, std::uint64_t item, std::uint32_t first, std::uint32_t last) {
  PartPlaces places;
  {
    const std::lock_guard guard{mutex_};
    places = parts_.of(job, item, first, last);
  }
  std::vector<journal::PartLine> lines;
  for (const auto& [part, place] : places) {
    const std::string path = segments_.path_of(job, LineKind::parts, place.segment);
    auto bytes = read_range(path, place.offset, place.offset + place.bytes);
    GRISTMILL_TRY(bytes);
    std::string line = std::move(*bytes);
    const bool whole = line.size() == place.bytes && line.ends_with('\n');
    if (whole) line.pop_back();
    const auto read = openai::check_result_line(line);
    if (!whole || !read || read->item != item || read->part != part)
      return fail(ErrorCode::io, fmt::format("expected the line of part {} of item {} at byte {} "
                                             "of {}, got another",
                                             part, item, place.offset, path));
    lines.push_back({{job, item, part}, place.cls, std::move(line)});
  }
  return lines;
}

// They were given up when the job ended. What cannot be read now costs calls.
void SqliteStore::index_answers_again(const journal::JobChange& change) {
  if (unindexed_.erase(change.job) > 0)
    static_cast<void>(read_journal_job(tables_.database(), change.job, answers_.get()));
}

Result<std::optional<std::string>> SqliteStore::answer_to(JobId job, const RequestKey& key) {
  const auto place = answers_->find(job, key);
  if (!place) return std::nullopt;
  const std::string path = segments_.path_of(job, place->kind, place->segment);
  std::string line;
  for (std::uint64_t bytes = line_guess;; bytes *= 2) {
    auto read = read_range(path, place->offset, place->offset + bytes);
    GRISTMILL_TRY(read);
    line = std::move(*read);
    if (const auto end = line.find('\n'); end != line.npos || line.size() < bytes) {
      line.resize(std::min(end, line.size()));
      break;
    }
  }
  if (!openai::check_result_line(line))
    return fail(ErrorCode::io, fmt::format("expected the line of an answer at byte {} of {}, got "
                                           "another",
                                           place->offset, path));
  return line;
}

void SqliteStore::close(bool in_order) {
  {
    const std::lock_guard guard{mutex_};
    in_order_ = in_order;
    closing_ = true;
    wake_.notify_one();
  }
  if (thread_.joinable()) thread_.join();
  sweeper_.stop();
}

void SqliteStore::run() {
  while (true) {
    std::optional<journal::Group> group;
    std::vector<JobId> to_read;
    {
      std::unique_lock lock{mutex_};
      const auto called = [this] { return waiting_ || closing_ || !to_read_.empty(); };
      if (segments_.unpublished())
        wake_.wait_for(lock, publish_interval, called);
      else
        wake_.wait(lock, called);
      if (closing_ && !waiting_) break;
      group = std::exchange(waiting_, {});
      to_read = std::exchange(to_read_, {});
    }
    if (group) carry_out(std::move(*group));
    for (const JobId job : to_read) events_.read(job, read_journal_job(tables_.database(), job));
    publish_if_due();
  }
  segments_.publish();
  // What cannot be written down counts as a crash, and does no harm by that.
  if (in_order_ && !broken_ && !tables_.end_epoch()) in_order_ = false;
  tables_.close(!broken_);
}

void SqliteStore::publish_if_due() {
  const Time now = boot_now();
  if (broken_ || !segments_.unpublished() || now - published_ < publish_interval) return;
  segments_.publish(publish_most);
  published_ = now;
}

void SqliteStore::carry_out(journal::Group group) {
  Result<> done;
  try {
    if (broken_)
      done = tl::unexpected{*broken_};
    else if (!group.empty())
      done = write(group);
  } catch (const std::exception& error) {
    done = fail(ErrorCode::internal, error.what());
  }
  if (!done && !journal::passes(done.error().code)) broken_ = done.error();
  {
    // Before the event, whose hearer may commit the next group at once.
    const std::lock_guard guard{mutex_};
    in_flight_ = false;
  }
  if (!done) return events_.failed(done.error(), std::move(group));
  events_.durable(group.upto);
  // A long write-back holds up the next group, but not the news of this one.
  if (auto tidied = tables_.tidy(is_busy()); !tidied) broken_ = tidied.error();
}

bool SqliteStore::is_busy() {
  const std::lock_guard guard{mutex_};
  return waiting_.has_value();
}

Result<> SqliteStore::write(const journal::Group& group) {
  GRISTMILL_TRY(journal_file_.check());
  auto done = append_and_insert(group);
  if (done) {
    segments_.keep();
    for (const journal::JobChange& change : group.jobs)
      if (is_over(change.state)) {
        segments_.end_job(change.job);
        answers_->forget(change.job);
        unindexed_.insert(change.job);
      } else {
        index_answers_again(change);
      }
    for (const JobId job : group.forgotten) unindexed_.erase(job);
    for (const JobId job : group.forgotten) {
      sweeper_.remove(segments_.forget_job(job));
      std::error_code none;
      if (bodies_ && std::filesystem::exists(bodies_->path_of(answers_directory(job)), none))
        sweeper_.remove(bodies_->path_of(answers_directory(job)));
    }
  } else if (journal::passes(done.error().code)) {
    GRISTMILL_TRY(segments_.take_back());
  }
  return done;
}

Result<> SqliteStore::append_and_insert(const journal::Group& group) {
  for (const journal::JobChange& change : group.jobs)
    if (!change.spec.empty()) segments_.add_job(change.job, change.directory);
  std::vector<JournalTables::JobRow> rows;
  for (journal::CommitRow& row : journal::commit_rows(group)) {
    std::vector<std::string_view> lines, parts;
    for (const journal::ResultLine* line : row.lines) lines.push_back(line->line);
    for (const journal::PartLine* part : row.parts) parts.push_back(part->line);
    const auto range = segments_.append(row.job, LineKind::results, lines, row.whole_bytes);
    GRISTMILL_TRY(range);
    const auto part_range = segments_.append(row.job, LineKind::parts, parts);
    GRISTMILL_TRY(part_range);
    rows.push_back({std::move(row), *range, *part_range});
  }
  GRISTMILL_TRY(segments_.sync());
  GRISTMILL_TRY(tables_.write(group, rows));
  const std::lock_guard guard{mutex_};
  for (const JournalTables::JobRow& row : rows) {
    parts_.add(row.row.job, row.row.items.blob(), row.parts);
    answers_->add(row.row.job, row.row.items.blob(), row.range, row.parts);
  }
  for (const JobId job : group.forgotten) {
    parts_.forget(job);
    answers_->forget(job);
  }
  return {};
}

} // namespace gristmill::coordinator
