#include "actors/supervisor/failure_budget.hpp"

#include <algorithm>
#include <fmt/format.h>

namespace gristmill::supervisor {

std::optional<StateChange> FailureBudget::ended(OutcomeClass cls, const std::string& code,
                                                const std::string& sample) {
  ++terminal_;
  if (cls == OutcomeClass::ok || cls == OutcomeClass::cancelled) return std::nullopt;
  ++failed_;
  const std::string name =
      code.empty() ? std::string{info(cls).name} : fmt::format("{}, {}", info(cls).name, code);
  auto cause = causes_.find(name);
  if (cause == causes_.end())
    cause = causes_.try_emplace(causes_.size() < failure_causes_max ? name : "other").first;
  if (++cause->second.count == 1) cause->second.sample = sample;

  const bool many = failures_max_ != 0 && failed_ >= failures_max_;
  const bool share = percent_max_ != 0 && terminal_ >= failure_percent_from &&
                     100 * failed_ >= percent_max_ * terminal_;
  if (!many && !share) return std::nullopt;
  const auto leading =
      std::max_element(causes_.begin(), causes_.end(), [](const auto& a, const auto& b) {
        return a.second.count < b.second.count;
      });
  return StateChange{
      JobState::paused, JobReason::failures,
      fmt::format("{} of {} items failed (limit: --max-failures {}), {} of them by {}; for "
                  "instance {}",
                  failed_, terminal_,
                  many ? std::to_string(failures_max_) : fmt::format("{}%", percent_max_),
                  leading->second.count, leading->first, leading->second.sample)};
}

void FailureBudget::took(EndpointId endpoint) {
  proved_.insert(endpoint);
  refusals_.erase(endpoint);
}

std::optional<StateChange> FailureBudget::refuses(EndpointId endpoint, const std::string& url,
                                                  const std::string& sample,
                                                  std::size_t alternatives) {
  ++refusals_[endpoint];
  const auto refusing = std::count_if(refusals_.begin(), refusals_.end(), [this](const auto& one) {
    return !takes(one.first) || one.second >= refusals_of_proved;
  });
  if (refusing == 0 || static_cast<std::size_t>(refusing) < alternatives) return std::nullopt;
  return StateChange{JobState::paused, JobReason::endpoint,
                     fmt::format("{} the job's calls: {}; correct the key, the model or the URL",
                                 refusing == 1 ? url + " refuses" : "every endpoint refuses",
                                 sample)};
}

void FailureBudget::resumed() {
  terminal_ = failed_ = 0;
  causes_.clear();
  proved_.clear();
  refusals_.clear();
}

} // namespace gristmill::supervisor
