// WORKER HOST: a worker node on its feet. It plugs the link and the model client into the WORKER
// room and puts it on the stage as an actor. Invariant: it decides nothing.
#pragma once

#include "actors/kit/shell.hpp"
#include "actors/worker/link.hpp"
#include "actors/worker/worker.hpp"
#include "protocol/keys/access.hpp"
#include "worker/http/curl_client.hpp"

#include <functional>
#include <latch>
#include <memory>
#include <optional>
#include <string>

namespace zmq {
class context_t;
}

namespace gristmill::worker {

struct HostOptions {
  std::string coordinator;                     // tcp://HOST:PORT or inproc://…
  std::shared_ptr<zmq::context_t> zmq_context; // of the gateway, for inproc
  std::optional<WorkerAccess> access;
  Options worker;
  CurlClientOptions http;
  std::function<void()> welcome;            // a session has begun
  std::function<void()> finished;           // drained
  std::function<void(std::string)> refused; // the coordinator will not have us; a sentence
  std::function<void(std::string)> fatal;   // the node cannot go on; a sentence
};

class WorkerHost {
public:
  static Result<std::unique_ptr<WorkerHost>> start(Stage& stage, HostOptions options);
  ~WorkerHost();

  void drain(); // starts no more calls; `finished` follows
  void stop();

private:
  class WorkerPlayer;
  WorkerHost(Stage& stage, HostOptions options) : stage_{stage}, options_{std::move(options)} {}

  Stage& stage_;
  HostOptions options_;
  Stage::ActorRef actor_;
  std::unique_ptr<ModelClient> client_;
  std::unique_ptr<Link> link_;
  std::latch plugged_{1}; // both may be used
};

} // namespace gristmill::worker
