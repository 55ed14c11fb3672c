// ANSWERS: what a job has asked before, and was answered, is read from its durable lines, for the
// job itself and for the cache. Invariant: an answer that cannot be read is none: it costs a call.
#pragma once

#include "actors/journal/line_store.hpp"
#include "actors/words/look_up.hpp"

#include <cstddef>
#include <string_view>
#include <vector>

namespace gristmill::joiner {

// Stops with the answer that reaches so many bytes.
LookedUpAnswers look_up(journal::LineStore& lines, JobId job, std::vector<LookUp> asked,
                        std::size_t slice_bytes = 1u << 20);

// For others, by the keys of their scope.
std::vector<KeptAnswer> answers_to_keep(journal::LineStore& lines, JobId job,
                                        const std::vector<RequestKey>& keys,
                                        std::string_view scope);

} // namespace gristmill::joiner
