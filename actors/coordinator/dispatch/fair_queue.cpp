#include "actors/coordinator/dispatch/fair_queue.hpp"

#include <algorithm>

namespace gristmill::coordinator {

OfferedCall FairQueue::take(Queue& queue, std::map<std::string, Line>::iterator line,
                            Line::iterator waiting) {
  OfferedCall call = std::move(waiting->call);
  queue.bytes -= call.bytes();
  --queue.calls;
  --size_;
  jobs_with_calls_ -= queue.calls == 0;
  line->second.erase(waiting);
  if (line->second.empty()) queue.models.erase(line);
  return call;
}

std::pair<JobId, std::string> FairQueue::next(const Reaches& reaches) const {
  std::pair<JobId, std::string> best;
  for (const auto& [job, queue] : jobs_) {
    if (best.first && !shares_.before(job, best.first)) continue;
    const Line* first = nullptr;
    for (const auto& [model, line] : queue.models) {
      if (first != nullptr && line.front().order > first->front().order) continue;
      if (!reaches(job, model)) continue;
      first = &line;
      best = {job, model};
    }
  }
  return best;
}

std::deque<OfferedCall> FairQueue::close(JobId job) {
  std::deque<OfferedCall> left;
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return left;
  for (auto& [model, line] : it->second.models)
    for (Waiting& waiting : line) left.push_back(std::move(waiting.call));
  size_ -= left.size();
  jobs_with_calls_ -= !left.empty();
  jobs_.erase(it);
  shares_.forget(job);
  return left;
}

void FairQueue::push(JobId job, OfferedCall call) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return; // closed meanwhile: its supervisor is gone
  Queue& queue = it->second;
  queue.bytes += call.bytes();
  jobs_with_calls_ += queue.calls == 0;
  ++queue.calls;
  ++size_;
  Line& line = queue.models[call.planned.model];
  line.push_back({++came_, std::move(call)});
}

void FairQueue::remove(JobId job, CallId call) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  auto& models = it->second.models;
  for (auto line = models.begin(); line != models.end(); ++line) {
    const auto found =
        std::find_if(line->second.begin(), line->second.end(),
                     [&](const Waiting& waiting) { return waiting.call.planned.call == call; });
    if (found == line->second.end()) continue;
    take(it->second, line, found);
    return;
  }
}

const OfferedCall* FairQueue::front(const Reaches& reaches) const {
  const auto [job, model] = next(reaches);
  return job == JobId{} ? nullptr : &jobs_.at(job).models.at(model).front().call;
}

std::optional<OfferedCall> FairQueue::pop(const Reaches& reaches) {
  const auto [job, model] = next(reaches);
  if (job == JobId{}) return std::nullopt;
  Queue& queue = jobs_.at(job);
  const auto line = queue.models.find(model);
  shares_.served(job, 1);
  return take(queue, line, line->second.begin());
}

std::size_t FairQueue::size(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? 0 : it->second.calls;
}

std::vector<std::string> FairQueue::models(JobId job) const {
  std::vector<std::string> models;
  if (const auto it = jobs_.find(job); it != jobs_.end())
    for (const auto& [model, line] : it->second.models) models.push_back(model);
  return models;
}

std::size_t FairQueue::bytes(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? 0 : it->second.bytes;
}

} // namespace gristmill::coordinator
