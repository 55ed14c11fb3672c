// API: which of OpenAI's paths may be called, what kind of call each is, and what an answer to one
// can be held against.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gristmill::openai {

class AnswerSchema;

// The kinds of call whose answers are read strictly; `other` passes through (valid JSON is enough).
enum class Api : std::uint8_t { chat, completions, responses, embeddings, other };

// The path below the base URL for a batch line's url ("/v1/chat/completions" ->
// "/chat/completions") if it is on the allow-list (chat completions, completions, responses,
// embeddings, moderations, score, rerank; with or without "/v1"); an error that names the list
// otherwise. A url with scheme, host, "//", "@", "..", '?', '#', CR or LF is refused.
Result<std::string> path_of(std::string_view url);
Api api_of(std::string_view path);

// What a request asks for, as far as its answer can be held against it.
struct Asked {
  Asked(Api kind = Api::other) : api{kind} {} // no more is known
  Api api;
  std::uint64_t answers = 0; // embeddings, or choices at least; 0 = nobody can say
  bool json = false;         // the text has to be JSON …
  std::shared_ptr<const AnswerSchema> schema = nullptr; // … that fits this
};

} // namespace gristmill::openai
