// TOKENIZER FAULTS: what is wrong with how a job says who counts its tokens. Invariant: of a job
// without a fault here it is known which tokenizer counts, and where its ranks are; whether they
// are those is seen when they are read.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/rules/faults.hpp"

namespace gristmill {

void check_tokenizer(const JobSpec& spec, Faults& faults);

} // namespace gristmill
