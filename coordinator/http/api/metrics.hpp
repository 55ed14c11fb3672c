// METRICS: the answer to a scrape by Prometheus. The node is asked for all jobs, workers and pools,
// one after the other.
#pragma once

#include "coordinator/http/api/asking.hpp"

namespace gristmill::coordinator {

class MetricsResource final : public Resource {
public:
  explicit MetricsResource(AskNode ask) : ask_{std::move(ask)} {}
  std::vector<Route> routes() override;

private:
  AskNode ask_;
};

} // namespace gristmill::coordinator
