#include "actors/jobs/wait_news.hpp"

namespace gristmill::jobs {

std::vector<Event> WaitNews::told(const JobEntry& job, const WaitReason& reason,
                                  const MetError& at_endpoint, const Moment& moment) {
  std::vector<Event> events;
  const auto sentence = [&] { return explained(job, reason, at_endpoint, moment).sentence; };
  Said& said = jobs_[job.id];
  const std::int64_t waited = moment.unix_seconds - job.waits_since;
  if (job.waits_since != 0 && said.alarmed != job.waits_since && waited >= alarm_after.count()) {
    said.alarmed = job.waits_since;
    events.push_back({"job.waits_for_long",
                      {{"job", to_string(job.id)},
                       {"for_s", std::to_string(waited)},
                       {"endpoint", reason.endpoint},
                       {"why", sentence()}},
                      true});
  }
  if (!met(job.id, reason)) return events;
  Event event{reason ? "job.waiting" : "job.goes_on", {{"job", to_string(job.id)}}};
  if (reason) {
    event.fields.emplace_back("for", std::string{name_of(reason.kind)});
    event.fields.emplace_back("why", sentence());
  }
  events.push_back(std::move(event));
  return events;
}

bool WaitNews::met(JobId job, const WaitReason& reason) {
  Said& entry = jobs_[job];
  const bool again = same_to_people(entry.last, reason);
  entry.last = reason;
  if (!again || same_to_people(entry.said, reason)) return false;
  entry.said = reason;
  return true;
}

} // namespace gristmill::jobs
