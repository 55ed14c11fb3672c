// Where a job stands, and its counts, in the words that status, summary and HTTP API share.
// Invariant: counts never go backwards while a generation runs, except `retrying`.
#pragma once

#include "protocol/ids.hpp"
#include "protocol/job/preprocessed.hpp"
#include "protocol/job/usd.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

enum class JobState : std::uint8_t {
  running = 0,
  paused = 1,     // resumable; the reason says what would make it go on
  cancelling = 2, // nothing new starts
  merging = 3,    // every item is terminal; the result is being written
  finished = 4,
  cancelled = 5,
  failed = 6, // cannot go on: bad input under --strict, or an internal error
};
std::string_view name_of(JobState state);
std::optional<JobState> job_state_named(std::string_view name);
constexpr bool is_over(JobState s) {
  return s == JobState::finished || s == JobState::cancelled || s == JobState::failed;
}

// What brought a job into its state, for programs; the sentence beside it is for people.
enum class JobReason : std::uint8_t {
  none = 0,
  user = 1,      // somebody asked for it
  failures = 2,  // too many items have failed
  endpoint = 3,  // every endpoint refuses the job's calls: wrong key, model or URL
  bad_input = 4, // a bad line, under --strict
  input = 5,     // the input cannot be read
  internal = 6,
  disk = 7,     // no space: it goes on by itself when there is some
  budget = 8,   // what it may cost is spent
  quota = 9,    // every endpoint's account is used up: asked again now and then
  crashes = 10, // the coordinator crashed again and again while it ran, and nothing was recorded
};
std::string_view name_of(JobReason reason);
std::optional<JobReason> job_reason_named(std::string_view name);

// To which state a job goes, and why.
struct StateChange {
  JobState state = JobState::failed;
  JobReason reason = JobReason::none;
  std::string sentence;
};

struct JobCounts {
  std::uint64_t total = 0; // items read so far; all of them once `total_known`
  bool total_known = false;
  Preprocessed preprocessed{}; // records, so far
  std::uint64_t completed = 0, failed = 0;
  std::uint64_t retrying = 0;  // waiting for another attempt
  std::uint64_t in_flight = 0; // with a worker
  std::uint64_t calls = 0;     // that ended, as reported by workers
  std::uint64_t attempts = 0;  // … of each item or part of it that they carried
  std::uint64_t cached = 0;    // items, or parts of them, that took the answer to an equal request,
                               // of the job or from the cache
  std::uint64_t ambiguous = 0; // calls whose outcome is not known
  std::uint64_t parts = 0;     // of items that have several: those that have ended
  std::uint64_t late = 0;      // outcomes that came after the item was terminal
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t cached_prompt_tokens = 0; // of those of the prompts, as their servers say
  Usd cost{};                             // of the tokens that have a price
  // By answers that were taken from elsewhere.
  std::uint64_t saved_prompt_tokens = 0, saved_completion_tokens = 0;
  Usd saved_cost{};
  std::uint64_t terminal() const { return completed + failed; }
};

} // namespace gristmill
