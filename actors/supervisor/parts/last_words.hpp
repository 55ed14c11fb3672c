// LAST WORDS: how a part's last attempt ended. Kept while the part waits: it becomes the error line
// if the part fails after all, and it tells people what a job waits for. Plain data, bounded.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>
#include <string>

namespace gristmill::supervisor {

struct LastWords {
  OutcomeClass cls = OutcomeClass::ok;
  std::uint16_t http_status = 0;
  std::string code, message, model;
  std::string endpoint; // URL
  std::uint64_t latency_us = 0;

  static constexpr std::size_t message_bytes_max = 300;

  static LastWords of(const protocol::Reply& reply, const std::string& endpoint) {
    return {reply.cls,       reply.http_status,
            reply.code,      json::printable(reply.message, message_bytes_max),
            reply.model,     endpoint,
            reply.latency_us};
  }
  protocol::Reply reply() const {
    protocol::Reply reply;
    reply.cls = cls;
    reply.http_status = http_status;
    reply.code = code;
    reply.message = message;
    reply.model = model;
    reply.latency_us = latency_us;
    return reply;
  }
  // "HTTP 503 unavailable: Loading model"
  std::string text() const {
    return fmt::format("{}{}{}{}",
                       http_status == 0 ? std::string{} : fmt::format("HTTP {} ", http_status),
                       code.empty() ? info(cls).name : std::string_view{code},
                       message.empty() ? "" : ": ", message);
  }
};

} // namespace gristmill::supervisor
