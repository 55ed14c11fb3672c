// JOINED BODY: the body of an answer that is made of those of several parts, in the form in which a
// server would have sent it.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/openai/line/part_text.hpp"

#include <string>
#include <string_view>

namespace gristmill::openai {

bool is_chat(std::string_view body);
bool is_text(std::string_view body); // a chat's, a completion's or one of the responses API
bool is_vector(std::string_view body);
json::Value embedding_in(std::string_view body); // the first

// What all parts took together; not known if it is not known of one of them.
protocol::Usage usage_of_all(PartTexts parts);

// "stop" if all answers came to their end, else why the first one did not.
std::string finish_reason_of(PartTexts parts);

// Usage stands in it if it is known.
std::string chat_body(std::string_view model, std::string_view text, std::string_view finish_reason,
                      const protocol::Usage& usage);
// `vector`: an array of numbers.
std::string vector_body(std::string_view model, std::string_view vector,
                        const protocol::Usage& usage);
std::string list_body(PartTexts parts); // the bodies as they are

} // namespace gristmill::openai
