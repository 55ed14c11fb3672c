// APPENDS: more inputs of an open job, and that no more come. Invariant: inputs that the job does
// not have in the end, because it refused them or has them already, are held by nobody when the
// client is told so.
#pragma once

#include "coordinator/http/api/asking.hpp"
#include "coordinator/inputs/job_inputs.hpp"

namespace gristmill::coordinator {

inline constexpr std::size_t append_key_bytes_max = 256;

class AppendsResource final : public Resource {
public:
  AppendsResource(AskNode ask, JobInputs& inputs) : ask_{std::move(ask)}, inputs_{inputs} {}
  std::vector<Route> routes() override;

private:
  AskNode ask_;
  JobInputs& inputs_;
};

} // namespace gristmill::coordinator
