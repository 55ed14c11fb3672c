// ASKED: what a request asks for, as far as its answer can be held against it.
#pragma once

#include "protocol/openai/wire.hpp"

namespace gristmill::openai {

Asked asked_of(const Request& request);

} // namespace gristmill::openai
