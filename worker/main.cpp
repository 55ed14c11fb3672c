// gristmill-worker: a worker node as a process of its own.
//
// It prints one JSON line when a coordinator first welcomes it, and ends with 0 after a drain, with
// 2 when it could not start as it was told to or the coordinator will not have it, with 70 when it
// cannot go on. While there is no coordinator it keeps trying.
#include "actors/kit/clock.hpp"
#include "actors/kit/log.hpp"
#include "actors/kit/program/address_space.hpp"
#include "actors/kit/program/config_options.hpp"
#include "actors/kit/program/private_memory.hpp"
#include "actors/kit/program/process_guard.hpp"
#include "actors/kit/program/stop_signals.hpp"
#include "actors/kit/program/terminal.hpp"
#include "actors/kit/program/usage_sentence.hpp"
#include "actors/kit/shared_directory.hpp"
#include "protocol/job/endpoint_faults.hpp"
#include "protocol/limits.hpp"
#include "protocol/rules/job_faults.hpp"
#include "protocol/version.hpp"
#include "worker/descriptor_limit.hpp"
#include "worker/host.hpp"
#include "worker/http/api_keys.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <semaphore>
#include <thread>
#include <unistd.h>

namespace gristmill::worker {
namespace {

constexpr int exit_usage = 2, exit_internal = 70;
// Beyond the drain time, for what ends with it to be reported.
constexpr auto drain_margin = std::chrono::seconds{2};

struct ProgramOptions {
  std::string coordinator, keys, access, name;
  std::uint32_t concurrency = 256;
  std::string endpoint, model, metrics_url{metrics_found}, api_key_env, api_key_file;
  std::vector<std::string> allow_key;
  std::string ca_file, shared;
  double drain_timeout_s = 25;
  std::string config;
  bool quiet = false, verbose = false;
  std::string log_format = "text";
};

void describe(CLI::App& app, ProgramOptions& options) {
  app.add_option("--coordinator", options.coordinator,
                 "where the coordinator listens [the address in --access, else "
                 "tcp://127.0.0.1:7411]");
  auto* keys = app.add_option("--keys", options.keys,
                              "directory with a worker.key; needed to leave this machine");
  app.add_option("--access", options.access, "worker.access file: address and keys in one")
      ->excludes(keys);
  app.add_option("--name", options.name, "what the coordinator calls this worker [HOST-PID]");
  app.add_option("--concurrency", options.concurrency, "most calls in flight")
      ->check(CLI::Range(1u, 32'768u))
      ->capture_default_str();
  app.add_option("--endpoint", options.endpoint,
                 "base URL of a server that only this worker reaches, e.g. "
                 "http://localhost:8000/v1; needs --model");
  app.add_option("--model", options.model, "the model that it serves");
  app.add_option("--metrics-url", options.metrics_url,
                 "page on which the server reports how many calls wait and run, e.g. "
                 "http://localhost:8000/metrics; calls in flight follow it. \"auto\": looked for "
                 "at /metrics of its host, \"\": none")
      ->capture_default_str();
  app.add_option("--api-key-env", options.api_key_env, "environment variable with its key");
  app.add_option("--api-key-file", options.api_key_file, "file with its key");
  app.add_option("--allow-key", options.allow_key,
                 "NAME=URL: jobs may use this variable or file as key of endpoints of their own at "
                 "or below URL; repeatable");
  app.add_option("--ca-file", options.ca_file,
                 "PEM file with certificate authorities to trust besides the system's");
  app.add_option("--shared", options.shared,
                 "directory that the coordinator has as its --shared, at any path: documents and "
                 "answers stay in it in place of crossing the network");
  app.add_option("--drain-timeout", options.drain_timeout_s,
                 "longest wait for calls in flight when told to stop, in seconds")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  app.add_option("--log-format", options.log_format,
                 "text, or json: each event of the log as one line of JSON")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  add_config_option(app, options.config);
  auto* quiet = app.add_flag("-q,--quiet", options.quiet, "log errors only");
  app.add_flag("-v,--verbose", options.verbose, "log each call that ended, too")->excludes(quiet);
  app.footer("Example:\n"
             "  gristmill-worker --access worker.access --endpoint http://localhost:8000/v1 "
             "--model llama-3");
}

int complain(const std::string& sentence, int code) {
  say(fmt::format("gristmill-worker: {}\n", sentence));
  return code;
}

std::string default_name() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  return fmt::format("{}-{}", host.data(), ::getpid());
}

Result<std::optional<WorkerAccess>> access_of(const ProgramOptions& options) {
  const std::string& path = options.access.empty() ? options.keys : options.access;
  if (path.empty()) return std::nullopt;
  auto access = read_worker_access(path);
  GRISTMILL_TRY(access);
  return std::move(*access);
}

Result<std::string> address_of(const ProgramOptions& options,
                               const std::optional<WorkerAccess>& access) {
  std::string address = options.coordinator;
  if (address.empty() && access) address = access->address;
  if (address.empty()) address = "tcp://127.0.0.1:7411";
  if (!address.starts_with("tcp://") && !address.starts_with("ipc://"))
    return fail(ErrorCode::usage,
                fmt::format("--coordinator: expected tcp://HOST:PORT, got {}", address));
  if (!access && leaves_this_machine(address))
    return fail(ErrorCode::usage,
                fmt::format("connecting to {} without keys: anybody could read the prompts; copy "
                            "worker.access from the coordinator's keys (`gristmill keygen DIR`) "
                            "and give --access FILE",
                            address));
  return address;
}

// A job of this endpoint alone has the faults that the endpoint has.
Result<std::vector<protocol::AnnouncedEndpoint>> announced(const ProgramOptions& options) {
  if (options.endpoint.empty() != options.model.empty())
    return fail(ErrorCode::usage,
                fmt::format("expected --endpoint and --model together, got only {}",
                            options.endpoint.empty() ? "--model" : "--endpoint"));
  if (options.endpoint.empty() && (!options.api_key_env.empty() || !options.api_key_file.empty()))
    return fail(ErrorCode::usage, "expected --endpoint for the key, got none");
  if (options.endpoint.empty() && options.metrics_url != metrics_found)
    return fail(ErrorCode::usage, "expected --endpoint for --metrics-url, got none");
  if (options.endpoint.empty()) return std::vector<protocol::AnnouncedEndpoint>{};
  EndpointSpec endpoint;
  endpoint.url = options.endpoint;
  while (endpoint.url.ends_with('/')) endpoint.url.pop_back();
  endpoint.metrics_url = options.metrics_url;
  endpoint.api_key_env = options.api_key_env;
  endpoint.api_key_file = options.api_key_file;
  JobSpec job;
  job.inputs = {{"-", "-"}};
  job.shape.models = {options.model};
  job.endpoints = {endpoint};
  if (const auto faults = faults_of(job); !faults.empty())
    return fail(ErrorCode::usage, fmt::format("{}", fmt::join(faults, "; ")));
  ApiKeys keys;
  GRISTMILL_TRY(keys.authorization(endpoint.api_key_env, endpoint.api_key_file));
  return std::vector<protocol::AnnouncedEndpoint>{{options.model, std::move(endpoint)}};
}

// proven: whether the coordinator has to show that it is one before it is heard.
Result<KeyRules> key_rules(const ProgramOptions& options, bool proven) {
  std::vector<KeyRule> rules;
  for (const std::string& text : options.allow_key) {
    auto rule = key_rule_of(text);
    if (!rule) return fail(ErrorCode::usage, "--allow-key: " + rule.error().message);
    rules.push_back(std::move(*rule));
  }
  return KeyRules{std::move(rules), proven};
}

// Without it everything goes by value, which is no reason not to work.
std::optional<SharedDirectory> open_shared(const std::string& path) {
  auto opened = SharedDirectory::open(path);
  if (opened) return std::move(*opened);
  log_event("worker", {"shared.unusable", {{"why", opened.error().message}}, true});
  return std::nullopt;
}

Result<HostOptions> host_options(const ProgramOptions& options) {
  HostOptions host;
  auto access = access_of(options);
  GRISTMILL_TRY(access);
  auto address = address_of(options, *access);
  GRISTMILL_TRY(address);
  auto endpoints = announced(options);
  GRISTMILL_TRY(endpoints);
  auto keys = key_rules(options, access->has_value());
  GRISTMILL_TRY(keys);
  GRISTMILL_TRY(check_ca_file(options.ca_file));
  GRISTMILL_TRY(check_descriptor_limit(options.concurrency));
  host.coordinator = std::move(*address);
  host.access = std::move(*access);
  if (host.access) host.worker.cluster = host.access->cluster;
  host.worker.name = options.name.empty() ? default_name() : options.name;
  host.worker.process = Nonce{random_seed()};
  host.worker.capacity = {options.concurrency, limits::held_bytes_max};
  host.worker.endpoints = std::move(*endpoints);
  host.worker.keys = std::move(*keys);
  host.http.ca_file = options.ca_file;
  if (!options.shared.empty()) host.shared = open_shared(options.shared);
  host.worker.has_shared = host.shared.has_value();
  host.worker.drain_timeout = from_seconds(options.drain_timeout_s);
  return host;
}

void say_ready(const std::string& name) {
  const nlohmann::ordered_json ready{{"event", "ready"}, {"name", name}};
  print_json(ready.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  std::fflush(stdout);
}

int work(const ProgramOptions& options) {
  StopSignals signals;
  if (auto enough = check_address_space(); !enough)
    return complain(enough.error().message, exit_internal);
  auto host = host_options(options);
  if (!host) return complain(host.error().message, exit_usage);
  const std::string name = host->worker.name;
  std::binary_semaphore finished{0};
  std::atomic<bool> drained = false;
  host->welcome = [name, said = false]() mutable {
    if (!std::exchange(said, true)) say_ready(name);
  };
  host->finished = [&] {
    if (drained.exchange(true)) return;
    finished.release();
    signals.wake();
  };
  host->refused = [](const std::string& why) { std::_Exit(complain(why, exit_usage)); };
  host->fatal = [](const std::string& why) { std::_Exit(complain(why, exit_internal)); };

  Stage stage{std::clamp(std::thread::hardware_concurrency(), 2u, 8u)};
  auto worker = WorkerHost::start(stage, std::move(*host));
  if (!worker) return complain(worker.error().message, exit_usage);
  while (!drained && signals.wait() == 0) {
  }
  signals.leave_at_once();
  (*worker)->drain();
  const auto drain_ms = static_cast<long>(1'000 * options.drain_timeout_s);
  (void)finished.try_acquire_for(std::chrono::milliseconds{drain_ms} + drain_margin);
  (*worker)->stop();
  return 0;
}

} // namespace
} // namespace gristmill::worker

int main(int argc, char** argv) {
  using namespace gristmill;
  keep_memory_private();
  guard_writes(); // also because whoever read the ready line may be gone
  worker::ProgramOptions options;
  CLI::App app{"Makes the calls that a coordinator hands to it.", "gristmill-worker"};
  worker::describe(app, options);
  app.set_version_flag("--version", fmt::format("gristmill-worker {}", program_version));
  try {
    app.parse(argc, argv);
    if (const auto config = lay_config(options.config, app); !config) {
      return worker::complain(config.error().message, worker::exit_usage);
    } else if (!config->pools.empty()) {
      const auto fault = config_fault(config->path, config->first_pool,
                                      "expected no [[pool]]: pools belong to the coordinator's "
                                      "--config; remove it");
      return worker::complain(fault.value().message, worker::exit_usage);
    }
    set_log_format(log_format_named(options.log_format));
    set_log_level(options.quiet     ? LogLevel::quiet
                  : options.verbose ? LogLevel::verbose
                                    : LogLevel::normal);
    return worker::work(options);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    return worker::complain(
        fmt::format("{} (--help lists the options)", usage_sentence(e.get_name(), e.what())),
        worker::exit_usage);
  } catch (const std::exception& e) {
    return worker::complain(e.what(), worker::exit_internal);
  }
}
