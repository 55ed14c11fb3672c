// LOCAL CLUSTER: both kinds of node in one process; what they say to each other are the frames that
// they would send over TCP. What `gristmill run` runs.
#pragma once

#include "cli/run/local_wire.hpp"
#include "coordinator/host.hpp"
#include "worker/host.hpp"

#include <atomic>
#include <memory>
#include <vector>

namespace gristmill::cli {

struct LocalOptions {
  std::string state_directory;
  std::uint32_t workers = 1, concurrency = 256;
  Duration drain_timeout{};
  std::vector<PoolSpec> pools;
  std::string ca_file;
  std::string cache_directory; // of answers; empty = none
  std::uint64_t cache_bytes = 0;
  std::function<coordinator::Growth(const std::string& path)> growth{}; // of inputs that grow
};

class LocalCluster {
public:
  static Result<std::unique_ptr<LocalCluster>> open(LocalOptions options);
  ~LocalCluster();

  coordinator::CoordinatorHost& coordinator() { return *coordinator_; }
  Result<> start(); // the coordinator, then the workers
  void drain();     // no more calls are started
  bool drained() const { return drained_ == workers_.size(); }
  const Error* fatal() const { return has_failed_ ? &failure_ : nullptr; }

private:
  explicit LocalCluster(LocalOptions options);
  void fail_once(Error error); // the first one is told

  LocalOptions options_;
  std::unique_ptr<Stage> stage_;
  std::shared_ptr<LocalWire> wire_ = std::make_shared<LocalWire>();
  std::unique_ptr<coordinator::CoordinatorHost> coordinator_;
  std::vector<std::unique_ptr<worker::WorkerHost>> workers_;
  std::atomic<std::size_t> drained_ = 0;
  Error failure_; // written before has_failed_
  std::atomic<bool> failing_ = false, has_failed_ = false;
};

} // namespace gristmill::cli
