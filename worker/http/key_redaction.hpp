// KEY REDACTION: takes a worker's own key out of what a server sent back. Some servers repeat the
// key in an error, a debugging gateway in the whole answer, and what a worker passes on goes to
// journal, results, log and terminal. Invariant: an answer to a call holds no spelling of the
// call's key that a server makes without wanting to: as it is, escaped as JSON or in a URL, in
// base64.
#pragma once

#include "actors/worker/model_client.hpp"

#include <string_view>

namespace gristmill::worker {

// Not longer than anything that it stands for: an answer keeps its bound.
inline constexpr std::string_view key_redacted = "[hidden]";

// Changes body, headers and message. Keys that are no secrets ("EMPTY", "anything": servers without
// keys take any) are left alone where they may be words of an answer that somebody paid for: of
// less than 8 characters everywhere but behind "Bearer ", and of letters or digits alone, up to 15
// of them, in the body of a successful answer.
void redact_key(CallEnded& ended, std::string_view key);

} // namespace gristmill::worker
