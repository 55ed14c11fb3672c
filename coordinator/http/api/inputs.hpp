// INPUTS: the files that clients bring for jobs that they are about to submit.
#pragma once

#include "coordinator/http/router.hpp"
#include "coordinator/inputs/job_inputs.hpp"

namespace gristmill::coordinator {

class InputsResource final : public Resource {
public:
  InputsResource(Uploads& uploads, JobInputs& job_inputs)
      : uploads_{uploads}, job_inputs_{job_inputs} {}
  std::vector<Route> routes() override;

private:
  Uploads& uploads_;
  JobInputs& job_inputs_;
};

} // namespace gristmill::coordinator
