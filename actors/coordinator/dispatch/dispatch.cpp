#include "actors/coordinator/dispatch/dispatch.hpp"

#include "protocol/limits.hpp"

#include <algorithm>
#include <iterator>
#include <tuple>

namespace gristmill::coordinator {
namespace {

// Each stream is asked for some calls before it is known how many the workers can take.
constexpr std::size_t asked_least = 64;
static_assert(limits::offer_calls_max / (PartNumber::models_max + 1) >= asked_least);

} // namespace

void Dispatch::job_opened(JobId id, const Share& share, std::uint32_t batch_size,
                          std::uint32_t streams, Time now) {
  queue_.open(id, share);
  jobs_[id] = {.batch_size = batch_size,
               .streams = std::vector<Asked>(streams),
               .share = share,
               .pace = Pace{now}};
  look_at(id);
}

void Dispatch::job_closed(JobId id) {
  jobs_.erase(id);
  queue_.close(id);
}

std::vector<CallId> Dispatch::job_held(JobId id) {
  std::vector<CallId> calls;
  jobs_.at(id).held = true;
  const Share share = queue_.share(id);
  for (const OfferedCall& call : queue_.close(id)) calls.push_back(call.planned.call);
  queue_.open(id, share);
  return calls;
}

void Dispatch::job_released(JobId id) {
  if (const auto job = jobs_.find(id); job != jobs_.end()) job->second.held = false;
  look_at(id);
}

bool Dispatch::is_held(JobId id) const {
  const auto job = jobs_.find(id);
  return job != jobs_.end() && job->second.held;
}

std::optional<Share> Dispatch::mind_deadline(JobId id, double items_left, double seconds_left,
                                             const std::vector<JobId>& rivals) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return std::nullopt;
  const Job& job = found->second;
  const double rate = job.pace.rate();
  DeadlineFacts facts{job.share, seconds_left, items_left, rate, rate, 0, false};
  for (const JobId other_id : rivals) {
    const Job& other = jobs_.at(other_id);
    if (other.held) continue;
    facts.rate_all += other.pace.rate();
    if (queue_.size(other_id) == 0) continue;
    const std::uint32_t priority = queue_.share(other_id).priority;
    if (priority > job.share.priority) facts.behind_others = true;
    // Its own weight, not what a deadline makes of it, or two of them would outbid each other for
    // ever.
    if (priority == job.share.priority) facts.weight_others += other.share.weight;
  }
  const Share share = urgent(facts);
  if (share == queue_.share(id)) return std::nullopt;
  queue_.set_share(id, share);
  return share;
}

void Dispatch::call_began(JobId id, std::size_t parts) {
  if (const auto job = jobs_.find(id); job != jobs_.end()) job->second.pace.began(parts);
}

void Dispatch::tick(Time now) {
  for (auto& [id, job] : jobs_) job.pace.measure(now);
}

void Dispatch::look_at(JobId id) {
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return;
  for (std::uint32_t model = 0; model < job->second.streams.size(); ++model)
    to_ask_.insert({id, model});
}

void Dispatch::came(const OfferedCall& call) {
  const StreamId id = call.stream();
  Asked& asked = jobs_.at(id.job).streams.at(id.model);
  asked.calls -= std::min(asked.calls, 1u);
  asked.bytes -= static_cast<std::int64_t>(call.bytes());
  to_ask_.insert(id);
}

bool Dispatch::push(OfferedCall call) {
  if (jobs_.at(call.planned.job()).held) return false;
  queue_.push(std::move(call));
  return true;
}

void Dispatch::withdraw(JobId id, const std::vector<CallId>& calls) {
  look_at(id);
  for (const CallId call : calls) queue_.remove(id, call);
}

std::vector<Session*> Dispatch::turns(const std::vector<Session*>& sessions) {
  std::vector<Session*> turns;
  std::copy_if(sessions.begin(), sessions.end(), std::back_inserter(turns),
               [](const Session* session) { return session->may_be_fed(); });
  const auto turn = [](const Session* session) {
    const auto has = static_cast<double>(session->calls.size());
    return std::tuple{session->on_trial(), has / session->capacity.calls, session->id};
  };
  std::sort(turns.begin(), turns.end(),
            [&](const Session* a, const Session* b) { return turn(a) < turn(b); });
  return turns;
}

std::uint32_t Dispatch::ahead_of(const Session& session, std::size_t sessions) const {
  const auto most = limits::held_calls_max;
  const auto least = std::clamp<std::uint32_t>(session.capacity.calls / 4, 1, most);
  const auto busy = static_cast<std::uint32_t>(std::min<double>(session.rate(), most));
  // The rest of the work is shared: nobody holds more than its part of what is left.
  const auto share = queue_.size() / (2 * std::max<std::size_t>(sessions, 1)) + 1;
  return static_cast<std::uint32_t>(std::min<std::size_t>(std::max(least, busy), share));
}

bool Dispatch::has_several_streams() const {
  return jobs_.size() > 1 || (jobs_.size() == 1 && jobs_.begin()->second.streams.size() > 1);
}

Portion Dispatch::portion_of(const Session& session, std::size_t sessions, Time now) const {
  if (session.rests(now)) return {};
  const std::uint32_t ahead = ahead_of(session, sessions);
  const std::uint32_t target =
      session.on_trial() ? 1 : std::min(session.capacity.calls + ahead, limits::worker_calls_max);
  const GivenCalls& calls = session.calls;
  const std::uint32_t has =
      calls.held() + calls.in_flight() - (session.on_trial() ? calls.overdue() : 0);
  // A hand is what a worker begins in about half a second.
  Portion portion{.calls = target > has ? target - has : 0,
                  .hand = std::max(4u, ahead / 2),
                  .urgent = has < session.capacity.calls || 2 * calls.held() < ahead};
  // Small gaps are left to grow a little, unless the worker has nothing in hand.
  if (calls.held() > 0 && portion.calls < std::max(1u, ahead / 4)) portion.calls = 0;
  if (portion.calls == 0 && session.on_trial()) return {};
  if (!has_several_streams() || calls.held() >= limits::held_calls_max) return portion;
  for (const StreamId& stream : queue_.streams_with_calls())
    if (calls.held_of(stream) <= portion.hand / 2) portion.short_of.insert(stream);
  return portion;
}

// Of a job with several streams none takes more than its part of a worker's bytes, and one call, or
// the others would have to wait for it.
bool Dispatch::may_hold_more(const Session& session, const StreamId& id) const {
  const std::size_t streams = jobs_.at(id.job).streams.size();
  return streams == 1 || session.calls.held_of(id) == 0 ||
         session.calls.held_bytes_of(id) < session.capacity.bytes / streams;
}

std::optional<OfferedCall> Dispatch::next(const Session& session, Portion& portion,
                                          const FairQueue::Reaches& reaches) {
  const GivenCalls& calls = session.calls;
  if (queue_.empty() || portion.batch_calls >= limits::batch_calls_max) return std::nullopt;
  const auto wanted = [&](const StreamId& stream, const std::string& model) {
    return (portion.calls > 0 ||
            (portion.short_of.contains(stream) && calls.held_of(stream) < portion.hand)) &&
           may_hold_more(session, stream) && reaches(stream, model);
  };
  const OfferedCall* next = queue_.front(wanted);
  if (next == nullptr ||
      (portion.batch_bytes > 0 && portion.batch_bytes + next->bytes() > limits::frame_target_bytes))
    return std::nullopt;
  portion.full =
      (calls.held() > 0 && calls.held_bytes() + next->bytes() > session.capacity.bytes) ||
      calls.parts() + next->planned.parts.size() > limits::worker_parts_max ||
      session.unheard_bytes() > limits::unheard_bytes_max;
  const StreamId id = next->stream();
  if (portion.full || portion.batch_calls >= jobs_.at(id.job).batch_size) return std::nullopt;
  std::optional<OfferedCall> call = queue_.pop(wanted);
  to_ask_.insert(id);
  if (portion.calls > 0) --portion.calls;
  ++portion.batch_calls;
  portion.batch_bytes += call->bytes();
  return call;
}

void Dispatch::count_hands(const SessionMap& sessions) {
  hands_ = 0;
  for (const auto& [id, session] : sessions)
    if (session->may_be_fed())
      hands_ += session->capacity.calls + ahead_of(*session, sessions.size());
}

std::vector<Wanted> Dispatch::ask() {
  const std::size_t target =
      std::clamp<std::size_t>(2 * hands_, asked_least, limits::offer_calls_max);
  std::vector<Wanted> wanted;
  const auto ask = [&](const StreamId& id, Job& job) {
    if (const auto room = ask_stream(id, job, target)) wanted.push_back({id.job, *room});
  };
  // Of thousands of jobs most wait with as many calls as they were asked for: they are looked at
  // again when noticeably more are wanted of all.
  if (4 * target > 5 * asked_for_) {
    for (auto& [id, job] : jobs_)
      for (std::uint32_t model = 0; model < job.streams.size(); ++model) ask({id, model}, job);
    asked_for_ = target;
  } else {
    for (const StreamId& id : to_ask_)
      if (const auto job = jobs_.find(id.job); job != jobs_.end()) ask(id, job->second);
    asked_for_ = std::min(asked_for_, target);
  }
  to_ask_.clear();
  return wanted;
}

// The job's bounds are divided, so that one stream never takes what another needs. As long as there
// is a byte of credit a call of any length may come, so no part of the bytes is too small.
std::optional<StreamRoom> Dispatch::ask_stream(const StreamId& id, Job& job,
                                               std::size_t target) const {
  if (job.held) return std::nullopt;
  Asked& asked = job.streams.at(id.model);
  target = std::min<std::size_t>(target, limits::offer_calls_max / job.streams.size());
  // Either credit may run out first: calls where items are small, bytes where they are large.
  const auto most_bytes = static_cast<std::int64_t>(limits::offer_bytes_max / job.streams.size());
  const std::size_t has = queue_.size(id) + asked.calls;
  const std::int64_t has_bytes = static_cast<std::int64_t>(queue_.bytes(id)) + asked.bytes;
  if (has + target / 4 > target && has_bytes + most_bytes / 4 > most_bytes) return std::nullopt;
  const auto calls = static_cast<std::uint32_t>(target > has ? target - has : 0);
  const std::int64_t bytes = std::max<std::int64_t>(most_bytes - has_bytes, 0);
  if (calls == 0 && bytes == 0) return std::nullopt;
  asked.calls += calls;
  asked.bytes += bytes;
  return StreamRoom{id.model, calls, static_cast<std::uint64_t>(bytes)};
}

std::size_t Dispatch::other_jobs_queued(JobId job) const {
  return queue_.jobs_with_calls() - (queue_.size(job) > 0);
}

bool Dispatch::has_asked(JobId id) const {
  const auto job = jobs_.find(id);
  return job != jobs_.end() && std::any_of(job->second.streams.begin(), job->second.streams.end(),
                                           [](const Asked& asked) { return asked.calls > 0; });
}

void Dispatch::measure(Sizes& sizes) const {
  sizes["coordinator.queue jobs"] = queue_.jobs();
  sizes["coordinator.queued calls"] = queue_.size();
}

} // namespace gristmill::coordinator
