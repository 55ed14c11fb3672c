// EXPLANATION: why a job or an item waits, and what would change it: a sentence for people and
// members for programs. The rooms report reasons (words/wait_reason.hpp); they are weighed here,
// and only here do they become sentences. Invariant: one reason is given, the one that must be
// cleared before any other could matter.
#pragma once

#include "actors/jobs/job_entry.hpp"
#include "actors/kit/moment.hpp"
#include "actors/words/wait_reason.hpp"
#include "protocol/job/counted_error.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace gristmill::jobs {

// An error that was met last, at an endpoint or by a job of late, and how long ago.
struct MetError {
  std::optional<CountedError> error = {};
  double error_age_s = -1;
  double failing_s = -1; // for so long no call at the endpoint has been answered
};

// What is known beside the reason itself: the error is the one of its endpoint, else of the job.
struct Circumstances : MetError {
  JobReason stopped_for = JobReason::none; // of a job that is paused
  std::uint64_t retrying = 0;              // items of the job that wait for another attempt
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
WaitReason why_waiting(const JobEntry& job, const std::string& disk, const WaitReason& supervisor,
                       const WaitReason& coordinator);

// Why one of its items waits, which has a reason of its own.
WaitReason why_item_waits(WaitReason item, WaitReason job);

// `at_endpoint`: what the endpoint of the reason has met.
Explanation explained(const JobEntry& job, WaitReason reason, MetError at_endpoint,
                      const Moment& moment);
Explanation explained_item(const JobEntry& job, WaitReason reason, MetError at_endpoint,
                           const Moment& moment);
// Of a job where workers may share a directory with the coordinator, to stand behind a sentence.
// `why_by_value`: as of protocol/rules/by_reference.hpp.
std::string how_texts_travel(const std::string& why_by_value);

Explanation explained(JobId job, WaitReason reason, Time now, Circumstances known = {});

} // namespace gristmill::jobs
