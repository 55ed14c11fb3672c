// WORKER HOST: a worker node on its feet. It plugs the link and the model client into the WORKER
// room and puts it on the stage as an actor. Invariant: it decides nothing.
#pragma once

#include "actors/kit/shared_directory.hpp"
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

namespace gristmill::worker {

struct HostOptions {
  std::string coordinator; // tcp://HOST:PORT
  std::optional<WorkerAccess> access;
  // In place of dialling: what the coordinator of the same process is reached by.
  std::function<std::unique_ptr<Link>(LinkEvents)> link;
  Options worker;
  std::optional<SharedDirectory> shared; // that the coordinator may share
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

  Result<> open_link();
  void open_shared();

  Stage& stage_;
  HostOptions options_;
  Stage::ActorRef actor_;
  std::unique_ptr<ModelClient> client_;
  std::unique_ptr<Link> link_;
  std::unique_ptr<SharedStore> shared_;
  std::latch plugged_{1}; // both may be used
};

} // namespace gristmill::worker
