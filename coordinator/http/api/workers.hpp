// WORKERS: lists the workers, and drains one.
#pragma once

#include "coordinator/http/api/asking.hpp"

namespace gristmill::coordinator {

class WorkersResource final : public Resource {
public:
  explicit WorkersResource(AskNode ask) : ask_{std::move(ask)} {}
  std::vector<Route> routes() override;

private:
  AskNode ask_;
};

} // namespace gristmill::coordinator
