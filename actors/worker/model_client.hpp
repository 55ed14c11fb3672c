// MODEL CLIENT: the window through which a worker calls endpoints. One request is sent at most once
// (never re-sent by the HTTP library) and only before its `not_after`. Every started call ends in
// exactly one CallEnded. Beside calls it reads pages that a server has about itself.
#pragma once

#include "actors/kit/time.hpp"
#include "protocol/ids.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace gristmill::worker {

struct HttpCall {
  AttemptId attempt;
  std::string url;
  std::string body;
  std::string api_key_env, api_key_file; // resolved by the client; both empty = no Authorization
  Duration timeout{}, connect_timeout{};
  Time not_after = never; // the permit's end, checked as the last thing before sending
};

enum class CallEnd : std::uint8_t {
  answered,  // a complete HTTP answer of any status
  failed,    // refused, reset, cut, unresolvable, TLS: `code` says which
  timed_out, // total or connect timeout
  unstarted, // aborted at the gate: nothing was sent
  too_late,  // its permit had ended at the gate: nothing was sent
  aborted,   // by abort(), after it may have been sent
};

struct CallEnded {
  AttemptId attempt;
  CallEnd end = CallEnd::failed;
  std::uint16_t http_status = 0;
  std::string body;
  // Lower-case names; only those of interest (rate limits, retry hints, request ids, content type).
  std::vector<std::pair<std::string, std::string>> headers;
  std::string code, message; // when there is no answer: "connect_refused", one sentence
  std::uint64_t latency_us = 0;
};

// A GET of a page that is no call: without a key, and of no more than limits::metrics_bytes_max.
struct PageRead {
  EndpointId endpoint; // that it is about; one page of each at a time
  std::string url;
  Duration timeout{};          // in all
  std::size_t bytes_max = 0;   // 0 = limits::metrics_bytes_max
  bool in_our_network = false; // no connection to any but loopback and private addresses
};

struct PageEnded {
  EndpointId endpoint;
  std::uint16_t http_status = 0; // 0 = no answer, `message` says why
  std::string body, message;
};

class ModelClient {
public:
  virtual ~ModelClient() = default;
  virtual void start(std::vector<HttpCall> calls) = 0; // any thread; never blocks
  virtual void abort(std::vector<AttemptId> attempts) = 0;
  virtual void read(std::vector<PageRead> pages) = 0; // as start()
};

struct ModelClientEvents {
  // Called on the client's thread, batched, with the wall clock's seconds: what dates that a server
  // names are measured against.
  std::function<void(std::vector<CallEnded>, std::int64_t unix_now)> ended;
  std::function<void(std::vector<PageEnded>)> read = {}; // the same; empty = nobody reads
};

} // namespace gristmill::worker
