// ACCOUNT DIRECTORY: which accounts there are, what the journal is told of them, and what it has
// kept of those of earlier lives. Endpoints and jobs that give an account one name share it; when
// nobody names it any more it stays until nothing of it counts.
// Invariant: no event walks all accounts, only those that something has happened to or that are
// due.
#pragma once

#include "actors/kit/sizes.hpp"
#include "actors/rate_limiter/account.hpp"
#include "actors/rate_limiter/due_times.hpp"
#include "actors/words/records.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace gristmill::rate_limiter {

// The names of the next notes for the journal. Blocks that number attempts have the numbers of
// AttemptId, all others those above.
struct NoteNumbers {
  std::uint64_t attempts = 1, others = AttemptId::block_max + 1;
  bool attempts_are_used_up() const { return attempts > AttemptId::block_max; }
};

class AccountDirectory {
public:
  using Ref = std::shared_ptr<Account>;
  // `day`: the length of the accounts' long windows.
  explicit AccountDirectory(Duration day) : day_{day} {}

  // Of earlier lives, for accounts that are yet to be opened.
  void recovered(const std::vector<journal::BlockNote>& blocks, Time now, bool same_boot);
  void days_recovered(std::vector<journal::DayNote> days);

  // The account of that name, with these limits if there was none.
  Ref open(const std::string& name, const RateLimits& limits, Time now);
  Ref find(const std::string& name) const; // nullptr when there is none
  // What those allow who name an endpoint's account; nothing: nobody names it now, and the last
  // limits stay.
  void settle(const Ref& account, const std::optional<RateLimits>& limits, Time now);
  // Nobody will name it any more: it is forgotten once nothing of it counts.
  void leaves(const Ref& account) { leaving_.set(account->name(), Time::min()); }
  // Something has happened to it that may change when it is due.
  void touched(const Ref& account);

  // Blocks that should be written now, named by the numbers from these on. `commit_time`: how long
  // it takes of late until they are durable.
  std::vector<journal::BlockNote> reserve(NoteNumbers next, Duration commit_time, Time now);
  void durable(std::uint64_t number);
  // To be durable no later than the blocks that reserve() gave just before.
  std::vector<journal::DayNote> day_notes(Duration commit_time, Time now);
  Time next_day_notes_at() const { return noting_.next(); }

  std::size_t size() const { return accounts_.size(); }
  void measure(Sizes& sizes) const;

private:
  Ref part_of(const Account& account, std::string_view what, std::uint64_t per_minute, Time now);
  void look_at_touched(Duration commit_time);
  void forget_idle(Duration commit_time, Time now);

  Duration day_;
  std::map<std::string, Ref> accounts_;
  std::vector<Ref> touched_;                       // since they were looked at
  DueTimes<std::string> reserving_;                // a block
  DueTimes<std::string> noting_;                   // their day
  DueTimes<std::string> leaving_;                  // that nobody may name any more
  std::unordered_map<std::uint64_t, Ref> writing_; // by their block
  std::vector<std::uint64_t> over_;                // blocks of accounts that are no more
  std::unordered_map<std::string, std::vector<journal::BlockNote>> spent_; // in earlier lives
  Time spent_over_at_{never};
  std::map<std::string, std::vector<journal::DayNote>> days_; // the same of their days
};

} // namespace gristmill::rate_limiter
