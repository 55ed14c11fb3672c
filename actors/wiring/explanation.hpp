// EXPLANATION: why a job or an item waits, and what would change it, in sentences for people and in
// members for programs. The rooms say what they know as reasons (kit/wait_reason.hpp); here they
// are put together, and only here do they become sentences. Invariant: one reason is given, that
// which must go before any other could matter.
#pragma once

#include "actors/jobs/job_desk.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/counted_error.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::wiring {

// What is known beside the reason itself.
struct Circumstances {
  JobReason stopped_for = JobReason::none; // of a job that is paused
  std::uint64_t retrying = 0;              // items of the job that wait for another attempt
  // What the endpoint of the reason met last, else what the job met of late, and how long ago.
  std::optional<CountedError> error = {};
  double error_age_s = -1;
  double failing_s = -1; // for so long no call at the endpoint has been answered
};

struct Explanation {
  JobId job;
  std::string item;                    // its id; empty = the job as a whole, or only its number
  std::optional<std::uint64_t> number; // of the item in the order of the input, from 0
  WaitReason reason;
  Circumstances known;
  double for_s = -1, since_s = -1; // until it is over, since it began; below 0 = not known
  std::string sentence, remedy;    // remedy: empty when nothing needs to be done
};

// Whether a job with this reason, and so many calls in flight, has work that does not go on, though
// nobody stopped it. One that makes all the calls that may be made at once goes at full speed.
bool is_waiting(WaitKind kind, std::uint64_t in_flight = 0);
// Whether its endpoint's last error is the reason.
bool is_of_endpoint(WaitKind kind);

// Why the job as a whole waits. `disk`: the sentence about a full one, or empty; `supervisor` and
// `coordinator`: what the rooms say.
WaitReason why_waiting(const coordinator::JobEntry& job, const std::string& disk,
                       const WaitReason& supervisor, const WaitReason& coordinator);

Explanation explained(JobId job, WaitReason reason, Time now, Circumstances known = {});

// The reason of each job as it was said last, so that a change is said once: a reason counts when
// it was met twice in a row, because what comes and goes within a tick is no news.
class WaitNews {
public:
  // True: this reason is news. `none` is news after a reason that was said.
  bool met(JobId job, const WaitReason& reason);
  void forget(JobId job) { jobs_.erase(job); }
  std::size_t size() const { return jobs_.size(); }

private:
  struct Said {
    WaitReason last, said;
  };
  std::map<JobId, Said> jobs_;
};

} // namespace gristmill::wiring
