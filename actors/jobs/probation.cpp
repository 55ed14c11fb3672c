#include "actors/jobs/probation.hpp"

namespace gristmill::jobs {

void Probation::recovered(JobId job, std::uint32_t crashes, std::uint32_t same_item) {
  if (crashes > 0 || same_item > 0) suspects_[job] = {crashes, same_item};
}

std::uint32_t Probation::crashes(JobId job) const {
  const auto suspect = suspects_.find(job);
  return suspect == suspects_.end() ? 0 : suspect->second.crashes;
}

bool Probation::is_given_up(JobId job) const {
  const auto suspect = suspects_.find(job);
  return suspect != suspects_.end() &&
         (suspect->second.same_item >= same_item_max || suspect->second.crashes >= crashes_max);
}

bool Probation::begins(JobId job, std::uint64_t recorded) {
  const auto suspect = suspects_.find(job);
  if (suspect == suspects_.end() || suspect->second.crashes < careful_after) return false;
  suspect->second.beyond = recorded;
  return true;
}

bool Probation::is_careful(JobId job) const {
  const auto suspect = suspects_.find(job);
  return suspect != suspects_.end() && suspect->second.beyond;
}

bool Probation::passes(JobId job, std::uint64_t recorded) {
  const auto suspect = suspects_.find(job);
  if (suspect == suspects_.end() || !suspect->second.beyond || recorded <= *suspect->second.beyond)
    return false;
  suspects_.erase(suspect);
  return true;
}

void Probation::closed(JobId job) {
  const auto suspect = suspects_.find(job);
  if (suspect == suspects_.end()) return;
  suspect->second.beyond.reset();
  suspect->second.noted.reset();
}

std::vector<JobId> Probation::jobs() const {
  std::vector<JobId> careful;
  for (const auto& [job, suspect] : suspects_)
    if (suspect.beyond) careful.push_back(job);
  return careful;
}

std::vector<journal::ProbationNote> Probation::news(std::vector<journal::ProbationNote> out) {
  std::erase_if(out, [this](const journal::ProbationNote& note) {
    const auto suspect = suspects_.find(note.job);
    if (suspect == suspects_.end() || suspect->second.noted == note.item) return true;
    suspect->second.noted = note.item;
    return false;
  });
  return out;
}

} // namespace gristmill::jobs
