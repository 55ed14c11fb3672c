// LAST WORDS: how an attempt ended, kept while its item waits, in case the item has to fail of it
// after all; and for people who ask what a job waits for. Plain data, bounded.
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

  static LastWords of(const protocol::Outcome& outcome, const std::string& endpoint) {
    return {outcome.cls,       outcome.http_status,
            outcome.code,      json::printable(outcome.message, message_bytes_max),
            outcome.model,     endpoint,
            outcome.latency_us};
  }
  protocol::Outcome outcome() const {
    protocol::Outcome outcome;
    outcome.cls = cls;
    outcome.http_status = http_status;
    outcome.code = code;
    outcome.message = message;
    outcome.model = model;
    outcome.latency_us = latency_us;
    return outcome;
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
