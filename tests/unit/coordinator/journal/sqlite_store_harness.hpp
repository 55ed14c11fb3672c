// What the tests of the real journal share: a directory that goes away, a store whose events can be
// waited for, and groups to commit. Invariant: a wait that lasts a minute fails the test.
#pragma once

#include "coordinator/journal/sqlite.hpp"
#include "coordinator/journal/sqlite_store.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/joined_line.hpp"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>
#include <stdlib.h>
#include <sys/stat.h>

namespace gristmill::store_test {

using namespace gristmill::journal;
using coordinator::SqliteStore;
using coordinator::SqliteStoreOptions;

class TempDirectory {
public:
  TempDirectory() {
    std::string name = (std::filesystem::current_path() / "sqlite_store_XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TempDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDirectory(const TempDirectory&) = delete;
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

// The events of one store, in order.
class Heard {
public:
  JournalEvents events() {
    return {.durable = [this](Position upto) { add(upto); },
            .failed = [this](Error error, Group) { add(tl::unexpected{std::move(error)}); },
            .read = [this](JobId, Result<RecoveredJob> job) { content.set_value(std::move(job)); }};
  }
  Result<Position> next() {
    std::unique_lock lock{mutex_};
    if (!wake_.wait_for(lock, std::chrono::minutes{1}, [this] { return !heard_.empty(); }))
      throw std::runtime_error{"the journal said nothing for a minute"};
    auto first = std::move(heard_.front());
    heard_.erase(heard_.begin());
    return first;
  }
  std::size_t waiting() {
    const std::lock_guard guard{mutex_};
    return heard_.size();
  }

  std::promise<Result<RecoveredJob>> content; // of a job that was read

private:
  void add(Result<Position> event) {
    const std::lock_guard guard{mutex_};
    heard_.push_back(std::move(event));
    wake_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Result<Position>> heard_;
};

// An open journal, or why it is not.
struct Opened {
  explicit Opened(SqliteStoreOptions options) {
    auto opened = SqliteStore::open(std::move(options), heard.events(), recovered);
    if (opened)
      store = std::move(*opened);
    else
      error = opened.error();
  }
  explicit Opened(const std::string& directory) : Opened{options_for(directory)} {}
  static SqliteStoreOptions options_for(const std::string& directory) {
    SqliteStoreOptions options;
    options.directory = directory;
    return options;
  }

  Result<Position> commit(Group group) {
    store->commit(std::move(group));
    return heard.next();
  }
  // … as the next group of this journal.
  void commit_next(Group group) {
    group.upto = ++recovered.last_position;
    REQUIRE(commit(std::move(group)));
  }
  const RecoveredJob& job(std::uint32_t id) const {
    for (const RecoveredJob& job : recovered.jobs)
      if (job.job == JobId{id}) return job;
    throw std::runtime_error{"no such job was recovered"};
  }

  Heard heard;
  Recovered recovered;
  Error error;
  std::unique_ptr<SqliteStore> store; // goes first: its thread may still speak
};

inline JobChange new_job(std::uint32_t id, std::string directory) {
  return {.job = JobId{id},
          .spec = "{}",
          .directory = std::move(directory),
          .reason = {},
          .detail = "",
          .at = 100};
}

inline ResultLine line(std::uint32_t job, std::uint64_t item, bool failed = false) {
  return {JobId{job}, item, failed ? OutcomeClass::bad_line : OutcomeClass::ok,
          fmt::format(R"({{"job":{},"item":{}}})", job, item)};
}

// A line of one of an item's several parts, as the supervisor would write it.
inline PartLine part_line(const PartId& part, OutcomeClass cls = OutcomeClass::ok) {
  protocol::Reply reply;
  reply.cls = cls;
  if (cls == OutcomeClass::ok) {
    reply.http_status = 200;
    reply.body = fmt::format(R"({{"choices":[{{"message":{{"content":"{}.{} "}}}}]}})", part.item,
                             part.part);
  }
  openai::Provenance about;
  about.item = part.item;
  about.part = part.part;
  return {part, cls, openai::result_line(part.job, "x", reply, about)};
}

// … and the line of an item that has these.
inline ResultLine joined_of(std::uint64_t item, const std::vector<PartLine>& parts) {
  std::vector<openai::PartText> texts;
  for (const PartLine& part : parts) texts.push_back({part.cls, part.line, part.part.part});
  openai::Provenance about;
  about.item = item;
  openai::JoinedLine joined =
      openai::joined_line(parts.at(0).part.job, "x", about, texts, limits::line_bytes_max);
  return {parts[0].part.job, item, joined.cls, std::move(joined.line)};
}

inline Group group_of(Position upto, std::vector<ResultLine> lines) {
  Group group;
  group.upto = upto;
  group.lines = std::move(lines);
  return group;
}

inline std::string content_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

inline void append_to(const std::string& path, const std::string& bytes) {
  std::ofstream{path, std::ios::binary | std::ios::app} << bytes;
}

// The durable bytes of a job, over all segments.
inline std::string results_of(const SqliteStore& store, std::uint32_t job,
                              LineKind kind = LineKind::results) {
  std::string all;
  const auto lines = store.lines_of(JobId{job}, kind);
  if (!lines) throw std::runtime_error{lines.error().message};
  for (std::size_t n = 0; n < (*lines)->segments().size(); ++n) {
    std::string text((*lines)->segments()[n].bytes, '\0');
    if (const auto read = (*lines)->read(n, 0, text); !read)
      throw std::runtime_error{read.error().message};
    all += text;
  }
  return all;
}

// The journal as it was, but for what this SQL does to it, is refused with these words.
inline void check_refused_after(const TempDirectory& temp, const std::string& original,
                                const std::string& sql, const std::string& words) {
  std::filesystem::remove(temp / "state/journal.db");
  append_to(temp / "state/journal.db", original);
  {
    auto database = coordinator::Database::open(temp / "state/journal.db");
    REQUIRE(database->execute(sql));
  }
  const Opened journal{temp / "state"};
  CAPTURE(sql);
  REQUIRE_FALSE(journal.store);
  CHECK_THAT(journal.error.message, Catch::Contains(words));
}

} // namespace gristmill::store_test
