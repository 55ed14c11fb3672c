// RESULTS: the output of a job that is over, and its summary. Invariant: only the reader threads
// here wait for a disk, never the HTTP server's thread and never the node.
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
