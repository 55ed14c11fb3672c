// JOBS: what clients submit, look at, and change while it runs or when it is over.
// Invariant: a job reads no file of this machine but those that JobInputs lets it, and writes none
// but its own result.
#pragma once

#include "coordinator/http/api/asking.hpp"
#include "coordinator/inputs/job_inputs.hpp"

namespace gristmill::coordinator {

class JobsResource final : public Resource {
public:
  JobsResource(AskNode ask, JobInputs& inputs) : ask_{std::move(ask)}, inputs_{inputs} {}
  std::vector<Route> routes() override;

private:
  AskNode ask_;
  JobInputs& inputs_;
};

} // namespace gristmill::coordinator
