// ZAP: ZeroMQ's question, asked with every handshake, whether a key may join (RFC 27). A CURVE
// server without somebody who answers lets every key in, so this thread answers, and a coordinator
// proves to itself before it serves that a stranger is refused.
// Invariant: the gateway's User-Id is the peer's public key, never something the peer says.
#pragma once

#include "coordinator/gateway/allow_list.hpp"

namespace zmq {
class context_t;
}

namespace gristmill::coordinator {

inline constexpr const char* zap_domain = "gristmill";

class Zap {
public:
  // Must be started before the server binds; one for each context. Logs "worker.refused".
  static Result<std::unique_ptr<Zap>> start(std::shared_ptr<zmq::context_t> context,
                                            std::shared_ptr<Enrolment> enrolment,
                                            std::function<void(const Event&)> log);
  ~Zap();
  void start_logging(); // after the self-test, whose strangers are our own

private:
  class Thread;
  explicit Zap(std::unique_ptr<Thread> thread);
  std::unique_ptr<Thread> thread_;
};

// Dials the server as a fresh key and as a peer without any: both must be turned away.
Result<> prove_strangers_are_refused(zmq::context_t& context, const std::string& endpoint,
                                     const std::string& server_key);

} // namespace gristmill::coordinator
