#include "actors/rate_limiter/blocks/mark_book.hpp"

#include "actors/kit/defaults.hpp"
#include "actors/kit/mutant.hpp"

#include <algorithm>
#include <utility>

namespace gristmill::rate_limiter {
namespace {

constexpr std::uint64_t ahead_max = std::uint64_t{1} << 20;

} // namespace

bool MarkBook::covers(JobId id, std::uint64_t item) {
  Job& job = jobs_[id];
  job.highest = std::max(job.highest, item + 1);
  if (job.next == 0 && job.highest + job.ahead / 2 >= job.durable) low_.insert(id);
  if (item < job.durable || mutated("no_mark_check")) return true;
  job.stalled = true;
  return false;
}

// As far ahead as the job comes in a second or in the time of a commit: twice as far when somebody
// had to wait, half as far when it lasted long.
std::vector<journal::MarkNote> MarkBook::reserve(std::uint64_t number, Time now,
                                                 Duration commit_time) {
  const auto seconds = static_cast<std::uint64_t>(std::max(1.0, to_seconds(commit_time)));
  const std::uint64_t least = defaults::mark_ahead * seconds;
  std::vector<journal::MarkNote> notes;
  for (const JobId id : std::exchange(low_, {})) {
    Job& job = jobs_.at(id);
    const bool lasted =
        now > job.raised_at + 4 * (defaults::block_life + defaults::block_lead(commit_time));
    if (job.stalled && job.ahead > 0)
      job.ahead = std::min(2 * job.ahead, ahead_max);
    else if (lasted)
      job.ahead /= 2;
    job.ahead = std::max(job.ahead, least);
    job.stalled = false;
    job.raised_at = now;
    job.next = job.highest + job.ahead;
    notes.push_back({id, job.next});
  }
  if (!notes.empty()) writing_[number] = notes;
  return notes;
}

void MarkBook::durable(std::uint64_t number) {
  const auto written = writing_.extract(number);
  if (!written) return;
  for (const journal::MarkNote& note : written.mapped()) {
    const auto found = jobs_.find(note.job);
    if (found == jobs_.end()) continue;
    Job& job = found->second;
    job.durable = std::max(job.durable, note.mark);
    if (job.next == note.mark) job.next = 0; // else the job was forgotten, and came again
  }
}

void MarkBook::forget(JobId job) {
  jobs_.erase(job);
  low_.erase(job);
}

std::optional<Time> MarkBook::writing_since(JobId id) const {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.next == 0) return std::nullopt;
  return job->second.raised_at;
}

} // namespace gristmill::rate_limiter
