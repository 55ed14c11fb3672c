// CURL REPLY: what comes back to a call, kept within bounds, and how the call ended.
// Invariant: no message made here contains a body or a key; the text of libcurl names hosts only.
#pragma once

#include "worker/http/curl_call.hpp"

#include <cstddef>
#include <string_view>

namespace gristmill::worker {

// Callbacks of libcurl; `call` is a CurlCall. Nothing may be thrown through libcurl's frames.
std::size_t on_reply_head(char* data, std::size_t size, std::size_t count, void* call) noexcept;
std::size_t on_reply_body(char* data, std::size_t size, std::size_t count, void* call) noexcept;

// Sets call.reply from libcurl's result (a CURLcode) and libcurl's text for it.
void end_by_result(CurlCall& call, int result, std::string_view text);

} // namespace gristmill::worker
