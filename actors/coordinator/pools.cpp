// The coordinator's endpoints: those of the configured pools, those that workers announce, and
// those that jobs bring along; which models they serve, and what their tokens cost.
#include "actors/coordinator/coordinator.hpp"
#include "protocol/rules/priced.hpp"
#include "protocol/rules/served.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

using namespace protocol;

Effects Coordinator::started() {
  Effects effects;
  for (const PoolSpec& pool : options_.pools)
    for (const EndpointSpec& endpoint : pool.endpoints) {
      pooled_.push_back(endpoint_id({endpoint, pool.model, true}, Nonce{}));
      effects.endpoints_added.push_back(
          {pooled_.back(), pool.model, endpoint, SessionId{}, pool.prefix_affinity});
    }
  return effects;
}

// Ids come from what they name, so that a claim made under an earlier life of ours still means the
// same endpoint. An announced one belongs to its worker's process: the same URL elsewhere is
// another server. One of two pools has two ids, because its model decides what a call costs.
EndpointId Coordinator::endpoint_id(const Endpoint& endpoint, Nonce process) {
  const EndpointSpec& spec = endpoint.spec;
  std::string identity =
      fmt::format("{}|{}|{}|{}", spec.url, spec.api_key_env, spec.api_key_file, process.value);
  if (endpoint.pooled) identity += "|" + endpoint.model;
  std::uint32_t hash = 2166136261u; // FNV-1a
  for (const char c : identity) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  EndpointId id{hash == 0 ? 1 : hash};
  for (;;) {
    const auto [it, added] = endpoints_.try_emplace(id, endpoint);
    if (added || it->second == endpoint) return id;
    ++id.value;
  }
}

void Coordinator::announce(Session& session, const Hello& hello, Effects& effects) {
  session.endpoints.clear();
  for (const AnnouncedEndpoint& announced : hello.endpoints) {
    const EndpointId id = endpoint_id({announced.endpoint, announced.model, false}, hello.process);
    session.endpoints.push_back(id);
    const PoolSpec* pool = pool_of(options_.pools, announced.model);
    effects.endpoints_added.push_back({id, announced.model, announced.endpoint, session.id,
                                       pool == nullptr || pool->prefix_affinity});
  }
  session.welcome.endpoints = session.endpoints;
}

// What a worker must know to make the job's calls, beside what it announces itself.
std::vector<EndpointEntry> Coordinator::endpoints_of(const JobSpec& spec, Effects& effects) {
  std::vector<EndpointEntry> entries;
  for (const EndpointSpec& own : spec.endpoints) {
    const EndpointId id = endpoint_id({own, "", false}, Nonce{});
    ++jobs_naming_[id];
    effects.endpoints_added.push_back({id, "", own, SessionId{}});
    entries.push_back({id, own, ""});
  }
  if (!entries.empty()) return entries;
  for (const EndpointId id : pooled_) {
    const Endpoint& endpoint = endpoints_.at(id);
    entries.push_back({id, endpoint.spec, endpoint.model});
  }
  return entries;
}

// Endpoints that only the closed job named are forgotten.
void Coordinator::drop_endpoints(const Job& closed, Effects& effects) {
  for (const EndpointEntry& entry : closed.endpoints) {
    const auto naming = jobs_naming_.find(entry.id);
    if (naming == jobs_naming_.end() || --naming->second > 0) continue;
    jobs_naming_.erase(naming);
    endpoints_.erase(entry.id);
    errors_.erase(entry.id);
    effects.endpoints_gone.push_back(entry.id);
  }
}

// A line that names a model of its own, where the configuration says which there are, and it is
// none of them, nor does a worker announce it: to wait would be for ever. Without pools, and for
// the endpoints of a pool that workers announce, it waits: they may come at any time.
std::string Coordinator::why_never_served(const Job& job, const PlannedCall& call) const {
  const bool may_come = options_.pools.empty() || pool_of(options_.pools, call.model) != nullptr;
  if (may_come || job.own_endpoints || !job.model.empty() || call.model.empty()) return {};
  return why_unserved(call.model, served());
}

std::string Coordinator::url_of(EndpointId id) const {
  const auto it = endpoints_.find(id);
  return it == endpoints_.end() ? std::string{} : it->second.spec.url;
}

// A pool's price holds for all endpoints that serve its model, announced ones too; of a job's own
// endpoints the model says which pool's it is.
CallCost Coordinator::cost_of(const Outcome& outcome, const Assigned& given) {
  // Told before: it has been counted, or was given up and charged.
  if (given.charged) return {};
  const auto it = endpoints_.find(outcome.endpoint);
  const bool pooled = it != endpoints_.end() && !it->second.model.empty();
  std::string model = pooled ? it->second.model : given.model;
  if (model.empty()) model = outcome.model;
  const PoolSpec* pool = pool_of(options_.pools, model);
  if (pool == nullptr && !pooled)
    if (const auto own = jobs_.find(given.job); own != jobs_.end())
      pool = pool_of(options_.pools, own->second.model);
  CallCost cost =
      cost_of_call(outcome, pool == nullptr ? TokenPrice{} : pool->price, given.note.most_nano_usd);
  // No report takes a job beyond its budget: a permitted call costs what was reserved for it at
  // most, those of earlier lives together what these may have spent.
  const auto job = jobs_.find(given.job);
  if (job == jobs_.end() || !job->second.has_budget) return cost;
  if (!given.earlier) {
    cost.nano_usd = std::min(cost.nano_usd, given.note.most_nano_usd);
  } else {
    cost.nano_usd = std::min(cost.nano_usd, job->second.earlier_nano_usd);
    job->second.earlier_nano_usd -= cost.nano_usd;
  }
  return cost;
}

// Whether a worker can have looked at it: it is everybody's, or its own.
bool Coordinator::is_reached(const Session& session, EndpointId id) const {
  const auto it = endpoints_.find(id);
  return it != endpoints_.end() && (it->second.pooled || jobs_naming_.contains(id) ||
                                    std::find(session.endpoints.begin(), session.endpoints.end(),
                                              id) != session.endpoints.end());
}

// How many endpoints serve calls such as this endpoint was given, it too.
std::size_t Coordinator::alternatives_of(JobId id, EndpointId endpoint) const {
  const auto it = endpoints_.find(endpoint);
  const Job& job = jobs_.at(id);
  if (job.own_endpoints || it == endpoints_.end()) return job.endpoints.size();
  return static_cast<std::size_t>(
      std::count_if(endpoints_.begin(), endpoints_.end(),
                    [&](const auto& other) { return other.second.model == it->second.model; }));
}

std::set<std::string> Coordinator::served() const {
  std::set<std::string> models;
  for (const auto& [id, endpoint] : endpoints_)
    if (!endpoint.model.empty()) models.insert(endpoint.model);
  return models;
}

std::string Coordinator::why_refused(const JobSpec& spec) const {
  if (std::string why = why_not_served(spec, served()); !why.empty()) return why;
  return spec.limits.budget_usd ? why_no_budget(spec) : std::string{};
}

std::string Coordinator::why_no_budget(const JobSpec& spec) const {
  return why_unpriced(spec, options_.pools);
}

// What its endpoint's view, explain and the log know of how the call ended.
void Coordinator::note_end(const Outcome& outcome, JobId job, Time now, Effects& effects) {
  const auto endpoint = endpoints_.find(outcome.endpoint);
  if (endpoint == endpoints_.end() || !outcome.attempt) return;
  const OutcomeClassInfo& meant = info(outcome.cls);
  auto known = errors_.find(outcome.endpoint);
  if (known == errors_.end() && meant.fault == Fault::nobody) return;
  if (known == errors_.end()) known = errors_.try_emplace(outcome.endpoint).first;
  const auto left_out = known->second.ended(outcome, now);
  if (!left_out) return;
  Event event{"call.failed",
              {{"endpoint", endpoint->second.spec.url},
               {"class", std::string{meant.name}},
               {"status", std::to_string(outcome.http_status)},
               {"code", outcome.code},
               {"words", json::printable(outcome.message, error_words_max)},
               {"job", to_string(job)},
               {"call", to_string(outcome.attempt)}},
              meant.fault != Fault::item && meant.fault != Fault::limit};
  if (*left_out > 0) event.fields.emplace_back("calls_left_out", std::to_string(*left_out));
  effects.events.push_back(std::move(event));
}

const EndpointErrors* Coordinator::errors_at(const std::string& url) const {
  const EndpointErrors* last = nullptr;
  for (const auto& [id, errors] : errors_)
    if (url_of(id) == url && (last == nullptr || errors.last_at() > last->last_at()))
      last = &errors;
  return last;
}

std::vector<PoolView> Coordinator::pools(bool of_jobs, Time now, std::int64_t unix_now) const {
  std::map<std::string, PoolView> by_model;
  for (const PoolSpec& pool : options_.pools)
    by_model[pool.model] = {pool.model, pool.fallback, pool.price, {}, pool.max_output_tokens};
  std::map<EndpointId, std::string> announcers;
  for (const auto& [session_id, session] : roster_.sessions())
    for (const EndpointId id : session->endpoints) announcers[id] = session->name;
  const auto show = [&](EndpointId id, const Endpoint& endpoint) {
    PoolView& pool = by_model[endpoint.model];
    pool.model = endpoint.model;
    pool.endpoints.push_back({id, endpoint.spec.url, announcers[id]});
    const auto met = errors_.find(id);
    if (met == errors_.end()) return;
    EndpointView& view = pool.endpoints.back();
    view.errors = met->second.book().list();
    view.last_error = *met->second.last();
    view.last_error->at = unix_now - (now - met->second.last_at()) / std::chrono::seconds{1};
  };
  for (const EndpointId id : pooled_) show(id, endpoints_.at(id));
  for (const auto& [id, endpoint] : endpoints_)
    if (!endpoint.pooled && (of_jobs || !endpoint.model.empty())) show(id, endpoint);
  std::vector<PoolView> views;
  for (auto& [model, pool] : by_model) views.push_back(std::move(pool));
  return views;
}

} // namespace gristmill::coordinator
