#include "actors/supervisor/verdict/failure_budget.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {

std::optional<StateChange> FailureBudget::ended(OutcomeClass cls, const std::string& code,
                                                const std::string& sample) {
  ++terminal_;
  if (cls == OutcomeClass::ok || cls == OutcomeClass::cancelled) return std::nullopt;
  ++failed_;
  causes_.met({cls, code, 0, sample});

  const bool many = failures_max_ != 0 && failed_ >= failures_max_;
  const bool share = percent_max_ != 0 && terminal_ >= failure_percent_from &&
                     100 * failed_ >= percent_max_ * terminal_;
  if (!many && !share) return std::nullopt;
  const CountedError& leading = *causes_.most_frequent();
  return StateChange{
      JobState::paused, JobReason::failures,
      fmt::format("{} of {} items failed (limit: --max-failures {}), {} of them by {}; for "
                  "instance {}",
                  failed_, terminal_,
                  many ? std::to_string(failures_max_) : fmt::format("{}%", percent_max_),
                  leading.count, name_of(leading), leading.sample)};
}

void FailureBudget::took(EndpointId endpoint) {
  proved_.insert(endpoint);
  refusals_.erase(endpoint);
}

void FailureBudget::served(EndpointId endpoint, const std::string& model) {
  std::set<std::string>& models = served_[endpoint];
  if (models.size() < models_max) models.insert(model);
}

bool FailureBudget::serves(EndpointId endpoint, const std::string& model) const {
  const auto it = served_.find(endpoint);
  return it != served_.end() && it->second.contains(model);
}

std::optional<StateChange> FailureBudget::refuses(const Refusal& refusal, Time now) {
  const auto& [endpoint, url, what, sample, alternatives] = refusal;
  Refusals& refusals = refusals_[endpoint];
  ++refusals.count;
  if (refusals.count == 1 || refusals.what != what) refusals.since = now;
  refusals.what = what;
  const auto refusing = std::count_if(refusals_.begin(), refusals_.end(), [&](const auto& one) {
    const bool means_the_job = !takes(one.first) || one.second.count >= refusals_of_proved;
    return means_the_job && now - one.second.since >= refusals_pause_after;
  });
  if (refusing == 0 || static_cast<std::size_t>(refusing) < alternatives) return std::nullopt;
  return StateChange{JobState::paused, JobReason::endpoint,
                     fmt::format("{} the job's calls: {}; correct the key, the model or the URL",
                                 refusing == 1 ? url + " refuses" : "every endpoint refuses",
                                 sample)};
}

void FailureBudget::resumed() {
  terminal_ = failed_ = 0;
  causes_ = ErrorBook{ErrorBook::Sample::first};
  proved_.clear();
  refusals_.clear();
}

} // namespace gristmill::supervisor
