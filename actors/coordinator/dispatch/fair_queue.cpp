#include "actors/coordinator/dispatch/fair_queue.hpp"

#include <algorithm>

namespace gristmill::coordinator {

OfferedCall FairQueue::take(Queue& queue, Stream& stream,
                            std::map<std::string, Line>::iterator line, Line::iterator waiting) {
  OfferedCall call = std::move(waiting->call);
  stream.bytes -= call.bytes();
  --stream.calls;
  --queue.calls;
  --size_;
  jobs_with_calls_ -= queue.calls == 0;
  line->second.erase(waiting);
  if (line->second.empty()) stream.models.erase(line);
  return call;
}

std::pair<StreamId, std::string> FairQueue::next(const Reaches& reaches) const {
  std::pair<StreamId, std::string> best;
  for (const auto& [job, queue] : jobs_) {
    if (best.first.job && !shares_.before(job, best.first.job)) continue;
    const Line* first = nullptr;
    for (const auto& [number, stream] : queue.streams)
      for (const auto& [model, line] : stream.models) {
        if (first != nullptr && line.front().order > first->front().order) continue;
        if (!reaches({job, number}, model)) continue;
        first = &line;
        best = {{job, number}, model};
      }
  }
  return best;
}

std::deque<OfferedCall> FairQueue::close(JobId job) {
  std::deque<OfferedCall> left;
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return left;
  for (auto& [number, stream] : it->second.streams)
    for (auto& [model, line] : stream.models)
      for (Waiting& waiting : line) left.push_back(std::move(waiting.call));
  size_ -= left.size();
  jobs_with_calls_ -= !left.empty();
  jobs_.erase(it);
  shares_.forget(job);
  return left;
}

void FairQueue::push(OfferedCall call) {
  const StreamId id = call.stream();
  const auto it = jobs_.find(id.job);
  if (it == jobs_.end()) return; // closed meanwhile: its supervisor is gone
  Queue& queue = it->second;
  Stream& stream = queue.streams[id.model];
  stream.bytes += call.bytes();
  ++stream.calls;
  jobs_with_calls_ += queue.calls == 0;
  ++queue.calls;
  ++size_;
  Line& line = stream.models[call.planned.model];
  line.push_back({++came_, std::move(call)});
}

void FairQueue::remove(JobId job, CallId call) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  for (auto& [number, stream] : it->second.streams)
    for (auto line = stream.models.begin(); line != stream.models.end(); ++line) {
      const auto found =
          std::find_if(line->second.begin(), line->second.end(),
                       [&](const Waiting& waiting) { return waiting.call.planned.call == call; });
      if (found == line->second.end()) continue;
      take(it->second, stream, line, found);
      return;
    }
}

const OfferedCall* FairQueue::front(const Reaches& reaches) const {
  const auto [id, model] = next(reaches);
  return id.job ? &find(id)->models.at(model).front().call : nullptr;
}

std::optional<OfferedCall> FairQueue::pop(const Reaches& reaches) {
  const auto [id, model] = next(reaches);
  if (!id.job) return std::nullopt;
  Queue& queue = jobs_.at(id.job);
  Stream& stream = queue.streams.at(id.model);
  const auto line = stream.models.find(model);
  shares_.served(id.job, 1);
  return take(queue, stream, line, line->second.begin());
}

std::size_t FairQueue::size(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? 0 : it->second.calls;
}

const FairQueue::Stream* FairQueue::find(const StreamId& id) const {
  const auto queue = jobs_.find(id.job);
  if (queue == jobs_.end()) return nullptr;
  const auto stream = queue->second.streams.find(id.model);
  return stream == queue->second.streams.end() ? nullptr : &stream->second;
}

std::size_t FairQueue::size(const StreamId& id) const {
  const Stream* stream = find(id);
  return stream == nullptr ? 0 : stream->calls;
}

std::size_t FairQueue::bytes(const StreamId& id) const {
  const Stream* stream = find(id);
  return stream == nullptr ? 0 : stream->bytes;
}

std::set<std::string> FairQueue::models(JobId job) const {
  std::set<std::string> models;
  if (const auto it = jobs_.find(job); it != jobs_.end())
    for (const auto& [number, stream] : it->second.streams)
      for (const auto& [model, line] : stream.models) models.insert(model);
  return models;
}

} // namespace gristmill::coordinator
