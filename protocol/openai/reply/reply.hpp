// REPLY: what an HTTP answer means. Invariant: nothing counts as an answer but what is one, whole.
#pragma once

#include "protocol/job/outcome_class.hpp"
#include "protocol/node/messages.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply_headers.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::openai {

using protocol::Reply;

// What was told as an answer that a worker judged: its body is one line of checked JSON, or there
// is none, and an ok without one is none.
void judge_body(Reply& reply);

// Judges a complete HTTP answer by status, body and headers.
//
// A 200 counts as ok only if the whole body is JSON of its kind (chat has choices[0].message,
// completions choices[0].text, responses output, embeddings data with an embedding for each input,
// others any object or array), names no error, and no choice in it says that it failed
// (answer.hpp). Of an error the words decide before the status (errors/words.hpp).
// Headers: retry-after-ms first, then retry-after (header_time.hpp, against the answer's own date,
// else `unix_now`), then what
// the body asks for; limits as limit_headers.hpp says; x-should-retry overrides the status rule;
// request id from x-request-id or request-id.
// The latency is left to the caller; the wait is within [0, 600 s]; of an HTML or cut error answer
// there is no body.
Reply read_reply(const Asked& asked, std::uint16_t http_status, const Headers& headers,
                 std::string_view body, std::int64_t unix_now);

} // namespace gristmill::openai
