// EXPLANATION: why a job or an item waits, and what would change it, in sentences for people and in
// members for programs. The rooms say what they know as reasons (kit/wait_reason.hpp); here they
// are put together, and only here do they become sentences. Invariant: one reason is given, that
// which must go before any other could matter.
#pragma once

#include "actors/coordinator/job_desk.hpp"
#include "actors/kit/wait_reason.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::wiring {

struct Explanation {
  JobId job;
  std::string item;                    // its id; empty = the job as a whole, or only its number
  std::optional<std::uint64_t> number; // of the item in the order of the input, from 0
  WaitReason reason;
  double for_s = -1, since_s = -1; // until it is over, since it began; below 0 = not known
  std::string sentence, remedy;    // remedy: empty when nothing needs to be done
};

std::string_view name_of(WaitKind kind);

// Whether a job with this reason has work that does not go on, though nobody stopped it.
bool is_waiting(WaitKind kind);

// Why the job as a whole waits. `disk`: the sentence about a full one, or empty; `supervisor` and
// `coordinator`: what the rooms say.
WaitReason why_waiting(const coordinator::JobEntry& job, const std::string& disk,
                       const WaitReason& supervisor, const WaitReason& coordinator);

Explanation explained(JobId job, WaitReason reason, Time now);

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
