// CANONICAL: which requests ask the same thing.
#pragma once

#include "protocol/openai/request/render.hpp"
#include "protocol/request_key.hpp"

#include <string_view>

namespace gristmill::openai {

// Requests of one scope with the same key ask the same thing: BLAKE2b-128 over scope, path and
// body, a NUL between them, the body with object members sorted and white space removed. Numbers
// keep their spelling. Members that say who asks, and nothing to the model, are left out: user,
// metadata, safety_identifier, prompt_cache_key. bad_input: the body is no JSON.
Result<RequestKey> request_key(const Request& request, std::string_view scope = {});

// Where more than one job looks for answers: of requests with this key in a wider scope.
RequestKey key_in_scope(const RequestKey& key, std::string_view scope);
// Of an answer that another model gave: it serves the job, and nobody else.
inline RequestKey fallback_key(const RequestKey& key) {
  return key ? key_in_scope(key, "fallback") : key;
}

} // namespace gristmill::openai
