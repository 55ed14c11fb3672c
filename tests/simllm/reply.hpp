// A complete HTTP reply, and what happens to the connection with it.
//
// A reply is made when its call arrives and kept until its latency has passed: a few hundred bytes
// are cheaper than keeping the request. Padding is sent without being stored, so a huge body costs
// no memory. Invariant: Content-Length equals the body's bytes, except in a truncated reply.
#pragma once

#include "answer.hpp"
#include "call.hpp"
#include "desk.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::simllm {

struct Reply {
  enum class Ending {
    keep,  // send, then wait for the next request
    close, // send what there is, then close
    reset, // close at once with a TCP reset
    hang,  // send nothing until the client goes away
  };

  std::string bytes;
  std::size_t pad_at = 0;      // where in `bytes` the padding goes
  std::uint64_t pad_bytes = 0; // how many spaces
  Ending ending = Ending::keep;
  int status = 200;
};

// For everything that is no model call: statistics, the model list, errors of the protocol.
Reply plain_reply(int status, std::string_view json, bool keep_alive);
Reply text_reply(int status, std::string_view text, bool keep_alive);
Reply error_reply(int status, std::string_view message, bool keep_alive);
Reply refused_key_reply(bool keep_alive);

// The reply to a model call as the desk has judged it.
Reply call_reply(const Call& call, const Verdict& verdict, const AnswerShape& shape,
                 bool keep_alive);

} // namespace gristmill::simllm
