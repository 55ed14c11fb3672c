#include "actors/coordinator/endpoints/endpoint_directory.hpp"

#include "protocol/rules/priced.hpp"
#include "protocol/rules/served.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::coordinator {

using namespace protocol;

namespace {

bool contains(const std::vector<EndpointId>& endpoints, EndpointId id) {
  return std::find(endpoints.begin(), endpoints.end(), id) != endpoints.end();
}

} // namespace

std::vector<EndpointOffer> EndpointDirectory::started() {
  std::vector<EndpointOffer> offers;
  for (const PoolSpec& pool : pools_)
    for (const EndpointSpec& endpoint : pool.endpoints) {
      pooled_.push_back(id_of({endpoint, pool.model, true}, Nonce{}));
      offers.push_back({.id = pooled_.back(),
                        .model = pool.model,
                        .endpoint = endpoint,
                        .prefix_affinity = pool.prefix_affinity});
    }
  return offers;
}

// Ids come from what they name, so that a claim made under an earlier life of ours still means the
// same endpoint. An announced one belongs to its worker's process: the same URL elsewhere is
// another server. One of two pools has two ids, because its model decides what a call costs.
EndpointId EndpointDirectory::id_of(const Endpoint& endpoint, Nonce process) {
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

std::vector<EndpointOffer> EndpointDirectory::announced(SessionId session, const Hello& hello) {
  std::vector<EndpointOffer> offers;
  for (const AnnouncedEndpoint& announced : hello.endpoints) {
    const PoolSpec* pool = pool_of(pools_, announced.model);
    offers.push_back({.id = id_of({announced.endpoint, announced.model, false}, hello.process),
                      .model = announced.model,
                      .endpoint = announced.endpoint,
                      .only = session,
                      .prefix_affinity = pool == nullptr || pool->prefix_affinity});
  }
  return offers;
}

void EndpointDirectory::gone(const Announced& endpoints) {
  for (const EndpointId id : endpoints) {
    endpoints_.erase(id);
    errors_.erase(id);
  }
}

std::vector<EndpointOffer> EndpointDirectory::job_opened(JobId id, const JobSpec& spec,
                                                         Usd earlier_cost) {
  std::vector<EndpointOffer> offers;
  Job job{.models = models_of_all(spec).empty() ? std::set<std::string>{} : models_asked(spec),
          .brings_own = !spec.endpoints.empty(),
          .has_budget = bool{spec.limits.budget},
          .earlier_cost = earlier_cost};
  for (const EndpointSpec& own : spec.endpoints) {
    const EndpointId endpoint = id_of({own, "", false}, Nonce{});
    ++jobs_naming_[endpoint];
    offers.push_back({.id = endpoint, .endpoint = own});
    job.endpoints.push_back({endpoint, own, ""});
  }
  if (!job.brings_own)
    for (const EndpointId pooled : pooled_) {
      const Endpoint& endpoint = endpoints_.at(pooled);
      job.endpoints.push_back({pooled, endpoint.spec, endpoint.model});
    }
  jobs_[id] = std::move(job);
  return offers;
}

std::vector<EndpointId> EndpointDirectory::job_closed(JobId id) {
  std::vector<EndpointId> forgotten;
  const auto job = jobs_.find(id);
  if (job == jobs_.end()) return forgotten;
  for (const EndpointEntry& entry : job->second.endpoints) {
    const auto naming = jobs_naming_.find(entry.id);
    if (naming == jobs_naming_.end() || --naming->second > 0) continue;
    jobs_naming_.erase(naming);
    forgotten.push_back(entry.id);
  }
  jobs_.erase(job);
  gone(forgotten);
  return forgotten;
}

const std::vector<EndpointEntry>& EndpointDirectory::of_job(JobId job) const {
  return jobs_.at(job).endpoints;
}

bool EndpointDirectory::reaches(JobId id, const std::string& model, const Announced& by) const {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.brings_own) return true;
  std::string wanted = model;
  if (wanted.empty()) {
    const std::set<std::string> models = served();
    if (models.size() != 1) return false;
    wanted = *models.begin();
  }
  const auto serves = [&](EndpointId endpoint) { return model_of(endpoint) == wanted; };
  return std::any_of(pooled_.begin(), pooled_.end(), serves) ||
         std::any_of(by.begin(), by.end(), serves);
}

bool EndpointDirectory::serve_elsewhere(JobId id, const Announced& mine,
                                        const Announced& others) const {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.brings_own || mine.empty()) return false;
  const std::string& model = model_of(mine.front());
  const auto serves = [&](EndpointId endpoint) { return model_of(endpoint) == model; };
  return std::all_of(mine.begin(), mine.end(), serves) &&
         std::any_of(others.begin(), others.end(), [&](EndpointId endpoint) {
           return serves(endpoint) && !contains(mine, endpoint);
         });
}

bool EndpointDirectory::is_reached(EndpointId id, const Announced& by) const {
  const auto it = endpoints_.find(id);
  return it != endpoints_.end() &&
         (it->second.pooled || jobs_naming_.contains(id) || contains(by, id));
}

std::size_t EndpointDirectory::alternatives_of(JobId id, EndpointId endpoint) const {
  const auto it = endpoints_.find(endpoint);
  const Job& job = jobs_.at(id);
  if (job.brings_own || it == endpoints_.end()) return job.endpoints.size();
  return static_cast<std::size_t>(
      std::count_if(endpoints_.begin(), endpoints_.end(),
                    [&](const auto& other) { return other.second.model == it->second.model; }));
}

bool EndpointDirectory::compete(const Job& a, const Job& b) {
  if (a.brings_own != b.brings_own) return true; // one URL may be meant by both
  if (!a.brings_own)
    return a.models.empty() || b.models.empty() ||
           std::any_of(a.models.begin(), a.models.end(),
                       [&](const std::string& model) { return b.models.contains(model); });
  return std::any_of(a.endpoints.begin(), a.endpoints.end(), [&](const auto& mine) {
    return std::any_of(b.endpoints.begin(), b.endpoints.end(),
                       [&](const auto& other) { return other.id == mine.id; });
  });
}

std::vector<JobId> EndpointDirectory::rivals_of(JobId id) const {
  std::vector<JobId> rivals;
  if (const auto job = jobs_.find(id); job != jobs_.end())
    for (const auto& [other, rival] : jobs_)
      if (other != id && compete(job->second, rival)) rivals.push_back(other);
  return rivals;
}

std::string EndpointDirectory::url_of(EndpointId id) const {
  const auto it = endpoints_.find(id);
  return it == endpoints_.end() ? std::string{} : it->second.spec.url;
}

const std::string& EndpointDirectory::model_of(EndpointId id) const {
  static const std::string none;
  const auto it = endpoints_.find(id);
  return it == endpoints_.end() ? none : it->second.model;
}

bool EndpointDirectory::is_served(const std::string& model) const {
  return std::any_of(endpoints_.begin(), endpoints_.end(), [&](const auto& entry) {
    return model.empty() ? !entry.second.model.empty() : entry.second.model == model;
  });
}

std::set<std::string> EndpointDirectory::served() const {
  std::set<std::string> models;
  for (const auto& [id, endpoint] : endpoints_)
    if (!endpoint.model.empty()) models.insert(endpoint.model);
  return models;
}

std::string EndpointDirectory::why_refused(const JobSpec& spec) const {
  if (std::string why = why_not_served(spec, served()); !why.empty()) return why;
  return spec.limits.budget ? why_no_budget(spec) : std::string{};
}

std::string EndpointDirectory::why_no_budget(const JobSpec& spec) const {
  return why_unpriced(spec, pools_);
}

std::optional<std::string> EndpointDirectory::why_unserved(JobId id) const {
  const auto job = jobs_.find(id);
  if (job == jobs_.end() || job->second.brings_own) return std::nullopt;
  const std::set<std::string> any{""};
  for (const std::string& model : job->second.models.empty() ? any : job->second.models)
    if (!is_served(model)) return gristmill::why_unserved(model, served());
  return std::nullopt;
}

std::string EndpointDirectory::why_item_unserved(const std::string& model) const {
  return gristmill::why_item_unserved(model, served());
}

// A line that names a model of its own, where the configuration says which there are, and it is
// none of them, nor does a worker announce it: to wait would be for ever. Without pools, and for
// the endpoints of a pool that workers announce, it waits: they may come at any time.
std::string EndpointDirectory::why_never_served(JobId id, const std::string& model) const {
  const Job& job = jobs_.at(id);
  const bool may_come = pools_.empty() || pool_of(pools_, model) != nullptr;
  if (may_come || job.brings_own || !job.models.empty() || model.empty()) return {};
  return gristmill::why_unserved(model, served());
}

// A pool's price holds for all endpoints that serve its model, announced ones too; of a job's own
// endpoints the model says which pool's it is.
CallCost EndpointDirectory::cost_of(const Outcome& outcome, const Assigned& given) {
  // Told before: it has been counted, or was given up and charged.
  if (given.charged) return {};
  const auto job = jobs_.find(given.job);
  std::string model = model_of(outcome.endpoint);
  const bool pooled = !model.empty();
  if (model.empty()) model = given.model;
  if (model.empty()) model = outcome.model;
  const PoolSpec* pool = pool_of(pools_, model);
  // Of a call of an earlier life nothing says which model it asked for.
  if (pool == nullptr && !pooled && job != jobs_.end() && job->second.models.size() == 1)
    pool = pool_of(pools_, *job->second.models.begin());
  CallCost cost =
      cost_of_call(outcome, pool == nullptr ? TokenPrice{} : pool->price, given.note.most_cost);
  if (job == jobs_.end() || !job->second.has_budget) return cost;
  if (!given.earlier) {
    cost.amount = std::min(cost.amount, given.note.most_cost);
  } else {
    cost.amount = std::min(cost.amount, job->second.earlier_cost);
    job->second.earlier_cost -= cost.amount;
  }
  return cost;
}

std::optional<Event> EndpointDirectory::ended(const Outcome& outcome, JobId job, Time now) {
  const auto endpoint = endpoints_.find(outcome.endpoint);
  if (endpoint == endpoints_.end() || !outcome.attempt) return std::nullopt;
  const OutcomeClassInfo& meant = info(outcome.cls);
  auto known = errors_.find(outcome.endpoint);
  if (known == errors_.end() && meant.fault == Fault::nobody) return std::nullopt;
  if (known == errors_.end()) known = errors_.try_emplace(outcome.endpoint).first;
  const auto left_out = known->second.ended(outcome, now);
  if (!left_out) return std::nullopt;
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
  return event;
}

const EndpointErrors* EndpointDirectory::errors_at(const std::string& url) const {
  const EndpointErrors* last = nullptr;
  for (const auto& [id, errors] : errors_)
    if (url_of(id) == url && (last == nullptr || errors.last_at() > last->last_at()))
      last = &errors;
  return last;
}

std::vector<PoolView> EndpointDirectory::pools(bool of_jobs,
                                               const std::map<EndpointId, std::string>& announcers,
                                               Time now, std::int64_t unix_now) const {
  std::map<std::string, PoolView> by_model;
  for (const PoolSpec& pool : pools_)
    by_model[pool.model] = {pool.model, pool.fallback, pool.price, {}, pool.max_output_tokens};
  const auto show = [&](EndpointId id, const Endpoint& endpoint) {
    PoolView& pool = by_model[endpoint.model];
    pool.model = endpoint.model;
    EndpointView& view = pool.endpoints.emplace_back();
    view.id = id;
    view.url = endpoint.spec.url;
    if (const auto name = announcers.find(id); name != announcers.end()) view.worker = name->second;
    const auto met = errors_.find(id);
    if (met == errors_.end()) return;
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

void EndpointDirectory::measure(Sizes& sizes) const {
  sizes["coordinator.endpoints"] = endpoints_.size();
  sizes["coordinator.endpoints with errors"] = errors_.size();
  sizes["coordinator.page readers"] = queue_readers_.size();
}

} // namespace gristmill::coordinator
