// RESULTS: the output of a job that is over, and the summary beside it.
// Invariant: whoever waits for a disk is one of its readers, never the server and never the node.
#pragma once

#include "coordinator/disk/work_threads.hpp"
#include "coordinator/http/api/asking.hpp"

namespace gristmill::coordinator {

class ResultsResource final : public Resource {
public:
  explicit ResultsResource(AskNode ask) : ask_{std::move(ask)} {}
  std::vector<Route> routes() override;

private:
  struct Part {
    const char* suffix; // of the result's path
    const char* type;
  };
  std::unique_ptr<HttpTask> sending(JobId job, Part part);
  void send_or_merge(const wiring::JobView& job, Part part, const Respond& respond);
  void send(const wiring::JobView& job, Part part, const Respond& respond);

  AskNode ask_;
  WorkThreads readers_{"results", 4};
};

} // namespace gristmill::coordinator
