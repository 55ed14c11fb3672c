// CHUNK FAULTS: what is wrong with how a job divides its documents and joins the answers.
// Invariant: of a job without a fault here every chunk's call has the chunk in it, and every step
// that joins answers has answers in it.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/rules/faults.hpp"

namespace gristmill {

void check_chunks(const JobSpec& spec, Faults& faults);

} // namespace gristmill
