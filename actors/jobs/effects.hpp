// EFFECTS of the job desk: what is to happen, in this order. Each names who is told; the wiring
// does it. And the messages about jobs that the desk hears. Plain data.
#pragma once

#include "actors/jobs/kept_job.hpp"
#include "actors/kit/event.hpp"
#include "actors/words/records.hpp"
#include "protocol/job/rate_limits.hpp"
#include "protocol/job/usd.hpp"
#include "protocol/result.hpp"

#include <algorithm>
#include <iterator>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gristmill::jobs {

// The rooms of a job. The desk knows which supervisors and mergers there are; a joiner ends with
// its supervisor.
enum class JobRoom : std::uint8_t { supervisor, merger, joiner };

// What the desk hears.

struct JobReport { // from SUPERVISOR
  JobId job;
  JobCounts counts;
  bool all_terminal = false;
  std::optional<StateChange> stop;
  WaitReason waiting = {};                   // why the supervisor offers no call
  double items_left = 0;                     // of all that the inputs hold, as far as can be told
  SharedErrors errors = {};                  // that its calls have met; nullptr = as it said before
  std::optional<Time> unanswered_since = {}; // its endpoints fail, and nothing is answered
};
struct MergeReport { // from MERGER
  JobId job;
  std::string failure;
  bool again = false;    // the disk is full: merging begins anew by itself
  ErrorList errors = {}; // when it is done: as its lines and its supervisor count them
};
struct JobRead { // from the store: what the journal holds of a job that is not open
  JobId job;
  Result<journal::RecoveredJob> content;
};
// What the desk wanted to be told when it is durable.
struct JobDurable {
  JobId job;
  JobState state;
  std::uint64_t token = 0; // of the question that waits for it
  bool changed = false;    // it has just come to this state
  bool probing = false;    // as of Resume
};
struct JobForgotten {
  JobId job;
  std::uint64_t token = 0;
};
struct InputsDurable { // that are its newest, or were appended before
  journal::AppendNote append;
  std::uint64_t token = 0;
  bool repeated = false;
};

// What it wants to happen.

struct ReadJob { // to the store; JobRead is the answer
  JobId job;
};
struct Append { // to JOURNAL; `then` follows when it, and all before it, is durable
  journal::Group part = {};
  std::optional<std::variant<JobDurable, JobForgotten, InputsDurable, ReadJob>> then = {};
};
struct Refuse { // to the client
  std::uint64_t token = 0;
  Error error;
};
struct Show { // to the client: the job as it stands
  std::uint64_t token = 0;
  JobId job;
};
struct ShowAppended { // to the client: the job, and what was appended
  std::uint64_t token = 0;
  JobId job;
  Appended appended;
};
struct Feed { // to SUPERVISOR
  journal::AppendNote append;
};
struct ShowForgotten { // to the client: the job as it was
  std::uint64_t token = 0;
  JobEntry job;
};
struct Open { // its supervisor begins, COORDINATOR and RATE LIMITER know it
  JobId job;
  KeptJob kept;
  RateLimits limits;
  std::optional<Duration> outage = {}; // it has waited for its endpoints, for so long
};
struct Limit { // to RATE LIMITER: the job's calls are limited so from now on
  JobId job;
  RateLimits limits;
};
struct Cancel { // to SUPERVISOR
  JobId job;
};
struct Pause { // to SUPERVISOR
  JobId job;
};
struct Hold { // to COORDINATOR: none of its calls begins
  JobId job;
};
struct Resume { // to RATE LIMITER, SUPERVISOR and COORDINATOR
  JobId job;
  Usd cap{};
  bool probing = false; // only to see whether what paused it is over
};
struct Hurry { // to COORDINATOR: the job has a deadline
  JobId job;
  double items_left = 0, seconds_left = 0;
};
struct Merge { // to MERGER
  JobId job;
  std::int64_t ended_at = 0; // unix seconds
  bool cancelled = false;
};
struct CloseRoom { // to the job's room
  JobId job;
  JobRoom room = JobRoom::supervisor;
};
struct Close { // to COORDINATOR and RATE LIMITER: nothing of the job is wanted any more
  JobId job;
  bool failed = false;
};

using Effect = std::variant<Append, Refuse, Show, ShowAppended, ShowForgotten, Feed, Open, Limit,
                            Cancel, Pause, Hold, Resume, Hurry, Merge, CloseRoom, Close>;

struct Effects {
  std::vector<Effect> list;
  std::vector<Event> events;

  void add(Effect effect) { list.push_back(std::move(effect)); }
  void add(Effects more) {
    std::move(more.list.begin(), more.list.end(), std::back_inserter(list));
    std::move(more.events.begin(), more.events.end(), std::back_inserter(events));
  }
  // What answers a question; token 0: nobody asked.
  void refuse(std::uint64_t token, ErrorCode code, std::string sentence) {
    if (token != 0) add(Refuse{token, {code, std::move(sentence)}});
  }
  void show(std::uint64_t token, JobId job) {
    if (token != 0) add(Show{token, job});
  }
};

} // namespace gristmill::jobs
