// POOLS: the endpoints that serve each model, and how they stand.
#pragma once

#include "coordinator/http/api/asking.hpp"

namespace gristmill::coordinator {

class PoolsResource final : public Resource {
public:
  explicit PoolsResource(AskNode ask) : ask_{std::move(ask)} {}
  std::vector<Route> routes() override;

private:
  AskNode ask_;
};

} // namespace gristmill::coordinator
