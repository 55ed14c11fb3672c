// HEALTH: whether the coordinator lives, and whether it can go on with jobs.
#pragma once

#include "coordinator/http/api/asking.hpp"

namespace gristmill::coordinator {

class HealthResource final : public Resource {
public:
  explicit HealthResource(AskNode ask) : ask_{std::move(ask)} {}
  std::vector<Route> routes() override;

private:
  AskNode ask_;
};

} // namespace gristmill::coordinator
