#include "cli/run/local_cluster.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/program/address_space.hpp"
#include "protocol/limits.hpp"
#include "worker/descriptor_limit.hpp"

#include <algorithm>
#include <fmt/format.h>
#include <thread>

namespace gristmill::cli {

LocalCluster::LocalCluster(LocalOptions options)
    : options_{std::move(options)}, stage_{std::make_unique<Stage>(
                                        std::clamp(std::thread::hardware_concurrency(), 2u, 8u))} {}

Result<std::unique_ptr<LocalCluster>> LocalCluster::open(LocalOptions options) {
  GRISTMILL_TRY(check_address_space());
  const std::uint64_t calls = std::uint64_t{options.workers} * options.concurrency;
  GRISTMILL_TRY(worker::check_descriptor_limit(calls));
  std::unique_ptr<LocalCluster> cluster{new LocalCluster{std::move(options)}};
  coordinator::HostOptions host;
  host.state_directory = cluster->options_.state_directory;
  host.gateway = [wire = cluster->wire_](coordinator::GatewayEvents events) {
    return wire->gateway(std::move(events));
  };
  host.flat = true;
  host.cache_directory = cluster->options_.cache_directory;
  host.cache_bytes = cluster->options_.cache_bytes;
  host.pools = cluster->options_.pools;
  host.growth = cluster->options_.growth;
  host.fatal = [c = cluster.get()](Error error) { c->fail_once(std::move(error)); };
  auto opened = coordinator::CoordinatorHost::open(*cluster->stage_, std::move(host));
  GRISTMILL_TRY(opened);
  cluster->coordinator_ = std::move(*opened);
  return cluster;
}

Result<> LocalCluster::start() {
  GRISTMILL_TRY(coordinator_->start());
  for (std::uint32_t n = 0; n < options_.workers; ++n) {
    worker::HostOptions host;
    host.link = [wire = wire_](worker::LinkEvents events) { return wire->link(std::move(events)); };
    host.worker.name = fmt::format("local-{}", n + 1);
    host.worker.process = Nonce{random_seed()};
    host.worker.capacity = {options_.concurrency, limits::held_bytes_max};
    host.worker.drain_timeout = options_.drain_timeout;
    host.worker.reads_pages_of_jobs = true;
    host.worker.outcomes_wait_most = {}; // what has not been recorded dies with this process
    host.worker.keys = worker::KeyRules::of_the_user();
    host.http.ca_file = options_.ca_file;
    host.finished = [this] { ++drained_; };
    host.refused = host.fatal = [this](std::string why) {
      fail_once({ErrorCode::internal, std::move(why)});
    };
    auto worker = worker::WorkerHost::start(*stage_, std::move(host));
    GRISTMILL_TRY(worker);
    workers_.push_back(std::move(*worker));
  }
  return {};
}

void LocalCluster::fail_once(Error error) {
  if (failing_.exchange(true)) return;
  failure_ = std::move(error);
  has_failed_ = true;
}

void LocalCluster::drain() {
  for (const auto& worker : workers_) worker->drain();
}

LocalCluster::~LocalCluster() {
  for (const auto& worker : workers_) worker->stop();
  if (coordinator_) coordinator_->stop();
}

} // namespace gristmill::cli
