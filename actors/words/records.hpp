// What the machine remembers, as the rooms tell it to JOURNAL: result lines, notes on items and
// jobs, budget blocks, sessions. A Group is what becomes durable together. Plain data only.
#pragma once

#include "actors/kit/time.hpp"
#include "actors/words/input_position.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/counted_error.hpp"
#include "protocol/job/outcome_class.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/job/state.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/request_key.hpp"

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace gristmill::journal {

using Position = std::uint64_t; // of an append; rises by one with each, across restarts too

// The terminal outcome of an item.
struct ResultLine {
  JobId job;
  std::uint64_t item = 0;
  OutcomeClass cls = OutcomeClass::ok;
  std::string line;    // one JSON line without its newline
  RequestKey key = {}; // of one that was answered: what was asked; none = nobody will look for it
  // Set: its body stands in this file below the coordinator's shared directory, and `line` is as of
  // protocol/openai/line/line_by_reference.hpp.
  std::string stored_in = {};
  bool failed() const { return cls != OutcomeClass::ok; }
};

// The terminal outcome of one of several parts of an item.
struct PartLine {
  PartId part;
  OutcomeClass cls = OutcomeClass::ok;
  std::string line;       // as of ResultLine
  std::uint32_t size = 0; // tokens of an answer that a step joins with others; 0 = none does
  RequestKey key = {};    // as of ResultLine
  bool failed() const { return cls != OutcomeClass::ok; }
};

// A terminal item is to be run again: its next line is the one that holds. Of its parts, if it has
// several, those that failed run again.
struct Reopened {
  JobId job;
  std::uint64_t item = 0;
};

// The parts of an item that have ended; of one that is terminal and did not fail nobody needs them.
struct EndedParts {
  std::map<std::uint32_t, std::uint32_t> answered; // … and the size of each answer, as of PartLine
  std::set<std::uint32_t> failed;
  bool contains(std::uint32_t part) const {
    return answered.contains(part) || failed.contains(part);
  }
};

// What a part that has not ended has been through; the newest note of a part holds.
struct AttemptNote {
  PartId part;
  std::uint32_t attempts = 0; // those that count against --retries
  std::uint32_t deaths = 0;
  std::uint32_t tries = 0; // all that ended; of a part on its fallback model, else 0
  bool of_several = false; // its item has other parts
  bool on_fallback() const { return tries != 0; }
};

// Amounts to add to a job's counts, and where reading would go on.
struct JobNote {
  JobId job;
  std::uint64_t calls = 0, attempts = 0, ambiguous = 0, late = 0, cached = 0;
  std::uint64_t prompt_tokens = 0, completion_tokens = 0;
  std::uint64_t cached_prompt_tokens = 0; // of those of the prompts, as their servers say
  InputPosition low; // every item before it is terminal; the greatest one holds
  Usd cost{};
  std::uint64_t saved_prompt_tokens = 0, saved_completion_tokens = 0;
  Usd saved_cost{};

  void add(const JobNote& note) {
    calls += note.calls;
    attempts += note.attempts;
    ambiguous += note.ambiguous;
    late += note.late;
    cached += note.cached;
    prompt_tokens += note.prompt_tokens;
    completion_tokens += note.completion_tokens;
    cached_prompt_tokens += note.cached_prompt_tokens;
    cost += note.cost;
    saved_prompt_tokens += note.saved_prompt_tokens;
    saved_completion_tokens += note.saved_completion_tokens;
    saved_cost += note.saved_cost;
    low = std::max(low, note.low);
  }
};

// What was drawn in truth from a block of this epoch that nobody draws from any more, and not given
// back; less than was noted before, when a call of it has ended.
struct DrawnNote {
  std::uint64_t block = 0, calls = 0, tokens = 0;
};

// A share of an account's windows that may be drawn until its end, then it is history.
struct BlockNote {
  std::uint64_t block = 0;              // number in this epoch
  std::string account;                  // "endpoint:URL|key" or "job-7"
  std::uint64_t calls = 0, tokens = 0;  // reserved
  Time until{};                         // end of drawing, BootClock of the epoch's boot
  std::vector<DrawnNote> drawn = {};    // of the account's blocks before, from now on
  std::vector<std::uint64_t> over = {}; // blocks of this epoch that no window counts any more
};

// How far into a job's items calls may go: the highest one + 1. It only rises.
struct MarkNote {
  JobId job;
  std::uint64_t mark = 0;
};

// What an account took of its windows of a day in the bucket that ends then. It replaces what was
// noted of that bucket, and includes what open blocks may still draw.
struct DayNote {
  std::string account;
  Time until{}; // BootClock of the epoch's boot, as below
  std::uint64_t calls = 0, tokens = 0;
  Time noted_at{}; // so far has the clock of this boot come
};

// Of a job's budget of money; what a note does not say stays.
struct MoneyNote {
  JobId job;
  std::uint64_t number = 0;     // of the note, among the epoch's blocks
  std::optional<Usd> watermark; // up to here may be charged
  std::optional<Usd> assumed;   // counts as spent beyond the recorded costs
};

// What calls of a job to a model have taught about their use of tokens, in words of the rate
// limiter's own; it replaces what was noted before. A hint: without it everything is learned anew.
struct LearnedNote {
  JobId job;
  std::string model, tokens;
};

// How often calls of a job have met a cause of errors, and what was said last; it replaces what was
// noted of that cause before.
struct ErrorNote {
  JobId job;
  CountedError error;
};

// How many calls an endpoint takes up at a time, and how many inputs in a call, as far as it was
// found; it replaces what was noted before. A hint, too.
struct ConcurrencyNote {
  std::string account;
  std::uint32_t calls = 0;  // 0 = not known
  bool rising = false;      // so many were taken up, and perhaps more would be
  std::uint32_t inputs = 0; // 0 = not known
  bool is_gone() const { return calls == 0 && inputs == 0; } // for good
};

// The item that is out of a job on probation, which makes one call at a time because coordinators
// ended while it ran; it replaces what was noted before.
struct ProbationNote {
  JobId job;
  std::uint64_t item = 0;
};

// Inputs that were appended to an open job, all of them as one; or, without a number, that no more
// come.
struct AppendNote {
  JobId job;
  std::uint64_t number = 0; // of the job's appends, from 1; 0 = it is closed
  std::string key, hash;    // whose inputs they are, to their user; and what is in them
  std::uint64_t bytes = 0;
  std::vector<InputSpec> inputs;
  bool closes() const { return number == 0; }
};

struct SessionNote {
  SessionId session;
  std::string worker;
  Nonce process;
  bool open = true;
  std::uint32_t calls = 0; // open: that it may have in flight at once; 0 = not known
};

struct JobChange {
  JobId job;
  std::string spec;      // JSON; empty = unchanged
  std::string directory; // of its segments, below the state directory; only with spec
  JobState state = JobState::running;
  JobReason reason = JobReason::none;
  std::string detail;  // the reason, a sentence
  std::int64_t at = 0; // unix seconds; of a job that waits for its endpoint: since when
  // What is kept of it: when the job ended, or since when it waits.
  std::int64_t kept_at() const { return is_over(state) || reason == JobReason::endpoint ? at : 0; }
};

struct Group {
  Position upto = 0;              // the position of the last append in it
  std::vector<Reopened> reopened; // before the lines
  std::vector<ResultLine> lines;
  std::vector<PartLine> parts;
  std::vector<AttemptNote> attempts;
  std::vector<JobNote> notes;
  std::vector<BlockNote> blocks;
  std::vector<MarkNote> marks;
  std::vector<DayNote> days;
  std::vector<MoneyNote> money;
  std::vector<LearnedNote> learned;
  std::vector<ErrorNote> errors;
  std::vector<ConcurrencyNote> concurrency;
  std::vector<ProbationNote> probation;
  std::vector<AppendNote> appends;
  std::vector<SessionNote> sessions;
  std::vector<JobChange> jobs;
  std::vector<JobId> forgotten; // jobs that are over: nothing of them is kept

  // All of its lists, once: one that is not named here does not compile.
  template <class G> static auto lists_of(G& group) {
    auto& [at, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15, l16, l17] = group;
    return std::tie(l1, l2, l3, l4, l5, l6, l7, l8, l9, l10, l11, l12, l13, l14, l15, l16, l17);
  }
  bool empty() const {
    return std::apply([](const auto&... list) { return (list.empty() && ...); }, lists_of(*this));
  }
};

} // namespace gristmill::journal
