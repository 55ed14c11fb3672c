// JOURNAL READING: what a journal's tables say, one table after the other, as what a new life of
// the coordinator begins with. Invariant: a journal that contradicts itself is an error that names
// the row, never a guess.
#pragma once

#include "coordinator/journal/recovery.hpp"
#include "coordinator/journal/sqlite.hpp"

#include <fmt/format.h>
#include <map>
#include <set>

namespace gristmill::coordinator {

class JournalReading {
public:
  explicit JournalReading(Database& database) : database_{database} {}

  // Of one job, or of all (0). Of all, the commits know after lives() which jobs went on in the
  // last.
  Result<> jobs(JobId only = {});
  Result<> commits(JobId only = {});
  Result<> money(JobId only = {});
  Result<> learned(JobId only = {});
  Result<> errors(JobId only = {});
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
    std::uint64_t reopened = 0, completed = 0, failed = 0, bytes = 0;
    bool operator==(const Sums&) const = default;
  };
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
  std::set<JobId> went_on_; // recorded something in the last life
};

template <class Use, class... Args>
Result<> JournalReading::each(std::string_view sql, Use use, const Args&... args) {
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

} // namespace gristmill::coordinator
