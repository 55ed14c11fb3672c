// CURL CALL: one request on its way through libcurl, and the handle that carries it.
//
// CurlEasy is the only place that makes or configures an easy handle, so every request is sent
// under the same profile: no redirects, no proxy or netrc from the environment, verified TLS, an
// answer of bounded size. libcurl by itself sends a POST again when a connection that it had kept
// open turns out to be closed; the gate, the last thing before sending, lets a call pass once.
// Invariant: a call that passed the gate was sent at most once, one that did not was never sent.
#pragma once

#include "actors/worker/model_client.hpp"
#include "protocol/limits.hpp"
#include "worker/http/connection_book.hpp"
#include "worker/http/curl_client.hpp"
#include "worker/http/socket_watch.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace gristmill::worker {

// What all handles of one client share: its connections, seen from two sides.
struct CurlConnections {
  ConnectionBook book;
  SocketWatch watch;
};

class CurlEasy;

enum class Gate : std::uint8_t {
  ahead,  // not reached: nothing was sent
  passed, // sent, or being sent
  late,   // refused: the permit had ended
  again,  // refused: libcurl wanted to send it a second time
};

struct CurlCall {
  HttpCall request;
  bool in_our_network = false;                // no connection to any other
  std::optional<EndpointId> page;             // set: no call, but a page about that endpoint
  const std::string* authorization = nullptr; // the header line
  ConnectionBook::Seat seat;
  std::unique_ptr<CurlEasy> easy; // nullptr while it waits for its turn
  Gate gate = Gate::ahead;
  Time since{}; // when libcurl got it, then when it passed the gate
  bool reply_too_big = false;
  int socket_errno = 0;
  std::string refused_address; // that its name led to
  std::size_t header_bytes = 0, body_bytes_max = limits::reply_bytes_max;
  bool head_complete = false;
  CallEnded reply;

  // Sets how it ended when there is no answer.
  void end_as(CallEnd end, std::string code, std::string message);
};

class CurlEasy {
public:
  // `share` is a CURLSH. libcurl's handles are passed as the void* that they are.
  CurlEasy(void* share, const CurlClientOptions& options, CurlConnections& connections);
  ~CurlEasy();
  CurlEasy(const CurlEasy&) = delete;
  CurlEasy& operator=(const CurlEasy&) = delete;

  // Makes the handle fit to send `call`, which must stay where it is until the handle is prepared
  // for another one or destroyed.
  void prepare(CurlCall& call);
  // Fills call.reply from libcurl's result (a CURLcode) before the handle leaves its shard.
  void read_result(CurlCall& call, int result);

  void* handle() const;
  CurlConnections& connections() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace gristmill::worker
