#include "actors/coordinator/fair_queue.hpp"

#include <algorithm>

namespace gristmill::coordinator {

std::map<JobId, FairQueue::Queue>::const_iterator FairQueue::next() const {
  auto best = jobs_.end();
  for (auto it = jobs_.begin(); it != jobs_.end(); ++it)
    if (!it->second.calls.empty() &&
        (best == jobs_.end() || it->second.served < best->second.served))
      best = it;
  return best;
}

std::deque<OfferedCall> FairQueue::close(JobId job) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return {};
  std::deque<OfferedCall> left = std::move(it->second.calls);
  size_ -= left.size();
  jobs_.erase(it);
  return left;
}

void FairQueue::push(JobId job, OfferedCall call) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return; // closed meanwhile: its supervisor is gone
  Queue& queue = it->second;
  if (queue.calls.empty()) queue.served = std::max(queue.served, level_);
  queue.bytes += call.bytes();
  queue.calls.push_back(std::move(call));
  ++size_;
}

void FairQueue::remove(JobId job, CallId call) {
  const auto it = jobs_.find(job);
  if (it == jobs_.end()) return;
  Queue& queue = it->second;
  const auto found = std::find_if(queue.calls.begin(), queue.calls.end(),
                                  [&](const OfferedCall& c) { return c.planned.call == call; });
  if (found == queue.calls.end()) return;
  queue.bytes -= found->bytes();
  queue.calls.erase(found);
  --size_;
}

const OfferedCall* FairQueue::front() const {
  const auto it = next();
  return it == jobs_.end() ? nullptr : &it->second.calls.front();
}

std::optional<OfferedCall> FairQueue::pop() {
  const auto found = next();
  if (found == jobs_.end()) return std::nullopt;
  Queue& queue = jobs_.at(found->first);
  OfferedCall call = std::move(queue.calls.front());
  queue.calls.pop_front();
  queue.bytes -= call.bytes();
  level_ = queue.served++;
  --size_;
  return call;
}

std::size_t FairQueue::size(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? 0 : it->second.calls.size();
}

std::size_t FairQueue::bytes(JobId job) const {
  const auto it = jobs_.find(job);
  return it == jobs_.end() ? 0 : it->second.bytes;
}

} // namespace gristmill::coordinator
