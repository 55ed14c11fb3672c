// ANSWER TEXT: what a model says in an answer, told apart from what it thinks. Reasoning models
// without a parser on their server put their thoughts into the same text, between <think> and
// </think>, or cut off before the end; what they only thought of is no answer.
#pragma once

#include "protocol/text/json_text.hpp"

#include <string>
#include <string_view>

namespace gristmill::openai {

// Of a chat's message, or of an item of the responses API's output; thoughts in it and all.
std::string text_of_message(json::Value message);
// Of the first choice of a chat or a completion, or of all output of the responses API.
std::string answer_text(std::string_view body);

// Without the thoughts: what stands between their marks, before an end that nothing begins (the
// server's template began it), and behind a beginning that nothing ends.
std::string without_thoughts(std::string_view text);

// Without space, and without the fence of a block of code around all of it.
std::string_view without_fence(std::string_view text);

} // namespace gristmill::openai
