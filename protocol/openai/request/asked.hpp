// ASKED: what a request asks for, as far as its answer can be held against it.
#pragma once

#include "protocol/openai/api.hpp"
#include "protocol/openai/request/render.hpp"

namespace gristmill::openai {

Asked asked_of(const Request& request);

} // namespace gristmill::openai
