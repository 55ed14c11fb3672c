// How the coordinator's room answers who asks why something waits: the job's supervisor says what
// it knows of its items, then COORDINATOR what it knows of their calls.
#include "actors/wiring/rooms.hpp"

#include <fmt/format.h>

namespace gristmill::wiring {
namespace {

// For so long a job may wait for its endpoints until somebody should look after them.
constexpr std::chrono::seconds alarm_after = std::chrono::minutes{15};

} // namespace

const std::string& CoordinatorRoom::full_disk_of(JobId job) const {
  const auto merge = merge_full_.find(job);
  return merge != merge_full_.end() ? merge->second : journal_full_;
}

WaitReason CoordinatorRoom::reason_of(const coordinator::JobEntry& job, Time now) const {
  return why_waiting(job, full_disk_of(job.id), job.waiting, coordinator_.why_waiting(job.id, now));
}

Explanation CoordinatorRoom::explain(const coordinator::JobEntry& job, WaitReason reason,
                                     const Moment& moment, bool whole) const {
  Circumstances known;
  if (whole) known.retrying = job.counts.retrying;
  if (job.state == JobState::paused) known.stopped_for = job.reason;
  if (is_of_endpoint(reason.kind)) {
    if (const coordinator::EndpointErrors* met = coordinator_.errors_at(reason.endpoint)) {
      const bool failed = met->last_failure().has_value();
      known.error = failed ? met->last_failure() : *met->last();
      known.error_age_s =
          to_seconds(moment.now - (failed ? met->last_failure_at() : met->last_at()));
      if (met->failing_since() != never)
        known.failing_s = to_seconds(moment.now - met->failing_since());
    }
  } else if (const CountedError* met = job.errors ? of_late(*job.errors) : nullptr) {
    known.error = *met;
    known.error_age_s = static_cast<double>(moment.unix_seconds - met->at);
  }
  return explained(job.id, std::move(reason), moment.now, std::move(known));
}

void CoordinatorRoom::answer(ExplainJob& explain, std::uint64_t token, const Moment& moment,
                             Post& post) {
  const coordinator::JobEntry* job = asked(explain.job, token, post);
  if (job == nullptr) return;
  if (!is_over(job->state) && rooms_.contains(to_supervisor(job->id))) {
    explaining_.emplace(token, job->id);
    post.tell(to_supervisor(job->id), ExplainItems{token, std::move(explain.item)});
    return;
  }
  Answer answer{token, {}, {}, {}, {}, {}};
  answer.explanation = this->explain(*job, reason_of(*job, moment.now), moment);
  if (explain.item) answer.explanation->item = explain.item->id;
  post.tell(to_client, std::move(answer));
}

void CoordinatorRoom::on(ItemsExplained& known, const Moment& moment, Post& post) {
  if (explaining_.erase(known.token) == 0) return; // answered without it
  coordinator::JobEntry* job = desk_.find(known.job);
  if (job == nullptr)
    return refuse(known.token, ErrorCode::not_found, "the job is forgotten", post);
  if (!is_over(job->state)) job->waiting = std::move(known.waiting);
  const Time now = moment.now;
  WaitReason reason = reason_of(*job, now);
  if (known.item && !known.item->reason && !known.item->call)
    return refuse(known.token, ErrorCode::not_found,
                  fmt::format("{} has no item {}: its last one is {}", to_string(job->id),
                              *known.item->item + 1, job->counts.total),
                  post);
  if (known.item) {
    WaitReason& item = known.item->reason;
    if (known.item->call) item = coordinator_.standing(job->id, known.item->call, now);
    // What holds the whole job holds each of its items that is not done or being called.
    const bool own = item.kind == WaitKind::in_flight || item.kind == WaitKind::recorded ||
                     item.kind == WaitKind::not_open || !reason || is_waiting(reason.kind);
    if (own) reason = std::move(item);
  }
  Answer answer{known.token, {}, {}, {}, {}, {}};
  answer.explanation = explain(*job, std::move(reason), moment, !known.item);
  if (known.item) {
    answer.explanation->item = std::move(known.item->id);
    answer.explanation->number = known.item->item;
  }
  post.tell(to_client, std::move(answer));
}

// Its supervisor is gone, and with it the answers that it owed.
void CoordinatorRoom::explain_no_items(JobId job, const Moment&, Post& post) {
  std::erase_if(explaining_, [&](const auto& entry) {
    if (entry.second != job) return false;
    refuse(entry.first, ErrorCode::internal, fmt::format("{} has just failed", to_string(job)),
           post);
    return true;
  });
}

void CoordinatorRoom::tell_reasons(const Moment& moment, Post& post) {
  for (auto& [id, job] : desk_.jobs()) {
    if (!job.open || is_over(job.state)) {
      wait_news_.forget(id);
      continue;
    }
    WaitReason reason = reason_of(job, moment.now);
    if (!is_waiting(reason.kind, coordinator_.in_flight(id))) reason = {};
    if (job.waits_since != 0 && !job.alarmed &&
        moment.unix_seconds - job.waits_since >= alarm_after.count()) {
      job.alarmed = true;
      post.events.push_back({"job.waits_for_long",
                             {{"job", to_string(id)},
                              {"for_s", std::to_string(moment.unix_seconds - job.waits_since)},
                              {"endpoint", reason.endpoint},
                              {"why", explain(job, reason, moment).sentence}},
                             true});
    }
    if (!wait_news_.met(id, reason)) continue;
    Event event{reason ? "job.waiting" : "job.goes_on", {{"job", to_string(id)}}};
    if (reason) {
      event.fields.emplace_back("for", std::string{name_of(reason.kind)});
      event.fields.emplace_back("why", explain(job, std::move(reason), moment).sentence);
    }
    post.events.push_back(std::move(event));
  }
}

} // namespace gristmill::wiring
