#include "protocol/job/state.hpp"

#include <array>
#include <utility>

namespace gristmill {
namespace {

constexpr std::array<std::pair<JobState, std::string_view>, 7> names{{
    {JobState::running, "running"},
    {JobState::paused, "paused"},
    {JobState::cancelling, "cancelling"},
    {JobState::merging, "merging"},
    {JobState::finished, "finished"},
    {JobState::cancelled, "cancelled"},
    {JobState::failed, "failed"},
}};

constexpr std::array<std::string_view, 11> reasons{"",          "user",  "failures", "endpoint",
                                                   "bad_input", "input", "internal", "disk",
                                                   "budget",    "quota", "crashes"};

} // namespace

std::string_view name_of(JobReason reason) {
  return reasons[static_cast<std::size_t>(reason)];
}

std::optional<JobReason> job_reason_named(std::string_view name) {
  for (std::size_t n = 0; n < reasons.size(); ++n)
    if (reasons[n] == name) return static_cast<JobReason>(n);
  return std::nullopt;
}

std::string_view name_of(JobState state) {
  return names[static_cast<std::size_t>(state)].second;
}

std::optional<JobState> job_state_named(std::string_view name) {
  for (const auto& [state, text] : names)
    if (text == name) return state;
  return std::nullopt;
}

} // namespace gristmill
