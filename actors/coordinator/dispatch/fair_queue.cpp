#include "actors/coordinator/dispatch/fair_queue.hpp"

#include <algorithm>

namespace gristmill::coordinator {

void FairQueue::set_share(JobId job, const Share& share) {
  if (!jobs_.contains(job)) return;
  const bool stood = line_.erase(shares_.place(job)) > 0;
  shares_.set(job, share);
  if (stood) line_.insert(shares_.place(job));
}

OfferedCall FairQueue::take(JobId job, Stream& stream, std::map<std::string, Calls>::iterator model,
                            Calls::iterator waiting) {
  Queue& queue = jobs_.at(job);
  OfferedCall call = std::move(waiting->call);
  stream.bytes -= call.bytes();
  --stream.calls;
  --queue.calls;
  --size_;
  if (queue.calls == 0) line_.erase(shares_.place(job));
  model->second.erase(waiting);
  if (model->second.empty()) stream.models.erase(model);
  return call;
}

std::pair<StreamId, std::string> FairQueue::next(const Reaches& reaches) const {
  for (const FairShare::Place& place : line_) {
    std::pair<StreamId, std::string> best;
    const Calls* first = nullptr;
    for (const auto& [number, stream] : jobs_.at(place.job).streams)
      for (const auto& [model, calls] : stream.models) {
        if (first != nullptr && calls.front().order > first->front().order) continue;
        if (!reaches({place.job, number}, model)) continue;
        first = &calls;
        best = {{place.job, number}, model};
      }
    if (first != nullptr) return best;
  }
  return {};
}

std::vector<StreamId> FairQueue::streams_with_calls() const {
  std::vector<StreamId> streams;
  for (const FairShare::Place& place : line_)
    for (const auto& [number, stream] : jobs_.at(place.job).streams)
      if (stream.calls > 0) streams.push_back({place.job, number});
  return streams;
}

std::deque<OfferedCall> FairQueue::close(JobId job) {
  std::deque<OfferedCall> left;
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return left;
  for (auto& [number, stream] : it->second.streams)
    for (auto& [model, calls] : stream.models)
      for (Waiting& waiting : calls) left.push_back(std::move(waiting.call));
  size_ -= left.size();
  line_.erase(shares_.place(job));
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
  if (queue.calls == 0) line_.insert(shares_.place(id.job));
  ++queue.calls;
  ++size_;
  Calls& calls = stream.models[call.planned.model];
  calls.push_back({++came_, std::move(call)});
}

void FairQueue::remove(JobId job, CallId call) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  for (auto& [number, stream] : it->second.streams)
    for (auto model = stream.models.begin(); model != stream.models.end(); ++model) {
      const auto found =
          std::find_if(model->second.begin(), model->second.end(),
                       [&](const Waiting& waiting) { return waiting.call.planned.call == call; });
      if (found == model->second.end()) continue;
      take(job, stream, model, found);
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
  line_.erase(shares_.place(id.job));
  shares_.served(id.job, 1);
  line_.insert(shares_.place(id.job));
  Stream& stream = jobs_.at(id.job).streams.at(id.model);
  const auto calls = stream.models.find(model);
  return take(id.job, stream, calls, calls->second.begin());
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
      for (const auto& [model, calls] : stream.models) models.insert(model);
  return models;
}

} // namespace gristmill::coordinator
