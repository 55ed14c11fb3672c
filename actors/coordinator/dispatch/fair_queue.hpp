// FAIR QUEUE: whose call goes next, over all jobs. Each stream of a job has a queue of ready calls,
// bounded by what was asked of it; FAIR SHARE chooses among the jobs that have some, at one unit
// per call. A job that was idle starts at the level of the others, so it can neither starve them
// nor be starved. The caller says which streams and models it reaches, so that calls that nobody
// reaches do not block the others (head-of-line). Invariant: calls of one stream and model leave in
// the order in which they came.
#pragma once

#include "actors/kit/fair_share.hpp"
#include "actors/words/calls.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::coordinator {

class FairQueue {
public:
  void open(JobId job, const Share& share = {}) {
    if (jobs_.try_emplace(job).second) shares_.set(job, share);
  }
  void set_share(JobId job, const Share& share);
  const Share& share(JobId job) const { return shares_.of(job); }
  // Its calls that have not left.
  std::deque<OfferedCall> close(JobId job);
  void push(OfferedCall call);
  void remove(JobId job, CallId call); // rare: walks the job's queue
  // What is next of the models that `reaches` (stream, model) says yes to, and its taking.
  using Reaches = std::function<bool(const StreamId&, const std::string&)>;
  const OfferedCall* front(const Reaches& reaches) const;
  std::optional<OfferedCall> pop(const Reaches& reaches);

  std::size_t jobs() const { return std::max(jobs_.size(), shares_.size()); }
  bool empty() const { return size_ == 0; }
  std::size_t size() const { return size_; }
  std::size_t jobs_with_calls() const { return line_.size(); }
  std::vector<StreamId> streams_with_calls() const;
  std::size_t size(JobId job) const;
  std::size_t size(const StreamId& stream) const;
  std::size_t bytes(const StreamId& stream) const;
  std::set<std::string> models(JobId job) const; // that its calls wait for

private:
  struct Waiting {
    std::uint64_t order; // of its coming
    OfferedCall call;
  };
  using Calls = std::deque<Waiting>; // none is empty
  struct Stream {
    std::map<std::string, Calls> models;
    std::size_t calls = 0, bytes = 0;
  };
  struct Queue {
    std::map<std::uint32_t, Stream> streams; // those that have had calls
    std::size_t calls = 0;
  };
  OfferedCall take(JobId job, Stream& stream, std::map<std::string, Calls>::iterator model,
                   Calls::iterator waiting);
  // The stream and the model of the call that is next; no job if there is none.
  std::pair<StreamId, std::string> next(const Reaches& reaches) const;
  const Stream* find(const StreamId& stream) const;

  std::map<JobId, Queue> jobs_;
  std::uint64_t came_ = 0;
  std::size_t size_ = 0;
  FairShare shares_;
  std::set<FairShare::Place> line_; // jobs that have calls, the next one in front
};

} // namespace gristmill::coordinator
