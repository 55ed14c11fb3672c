// gristmill-coordinator: a coordinator node as a process of its own.
//
// It prints one JSON line when it serves, and ends with 0 after SIGTERM or SIGINT, with 2 when it
// could not start as it was told to, and with 70 when it cannot go on.
#include "actors/kit/log.hpp"
#include "actors/kit/program/address_space.hpp"
#include "actors/kit/program/config_options.hpp"
#include "actors/kit/program/private_memory.hpp"
#include "actors/kit/program/process_guard.hpp"
#include "actors/kit/program/stop_signals.hpp"
#include "actors/kit/program/terminal.hpp"
#include "actors/kit/program/usage_sentence.hpp"
#include "coordinator/cache/cache_options.hpp"
#include "coordinator/disk/descriptor_reserve.hpp"
#include "coordinator/gateway/listen_address.hpp"
#include "coordinator/host.hpp"
#include "coordinator/http/api.hpp"
#include "coordinator/http/server/listener.hpp"
#include "coordinator/http/server/server.hpp"
#include "protocol/version.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <thread>

namespace gristmill::coordinator {
namespace {

constexpr int exit_usage = 2, exit_internal = 70, exit_start_again = 75;

struct ProgramOptions {
  std::string listen = "tcp://127.0.0.1:7411", http = "127.0.0.1:7412";
  std::string state = "gristmill-state", keys, data_root, shared, token_file;
  std::vector<std::string> http_hosts;
  bool http_plain = false;
  std::size_t http_per_address = HttpPlacesOptions{}.per_address_max;
  double drain_timeout_s = 25;
  std::string config;
  CacheOptions cache;
  std::vector<PoolSpec> pools; // of the configuration
  bool quiet = false, verbose = false;
  std::string log_format = "text";
};

void describe(CLI::App& app, ProgramOptions& options) {
  app.add_option("--listen", options.listen, "where workers connect; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--http", options.http, "HOST:PORT for clients; port 0 takes a free one")
      ->capture_default_str();
  app.add_option("--http-host", options.http_hosts,
                 "a name that clients may use for this coordinator besides those of this machine; "
                 "with a token and without this option they may use any");
  app.add_flag("--http-plain", options.http_plain,
               "serve HTTP beyond this machine in clear text, for instance behind a proxy that "
               "speaks TLS");
  app.add_option("--http-per-address", options.http_per_address,
                 "most connections of clients of one other machine; 0 = any number")
      ->capture_default_str();
  app.add_option("--state", options.state, "directory with all that outlives the process")
      ->capture_default_str();
  app.add_option("--keys", options.keys,
                 "directory that `gristmill keygen` wrote; needed to listen "
                 "beyond this machine");
  app.add_option("--data-root", options.data_root, "directory below which jobs may read in place");
  app.add_option("--shared", options.shared,
                 "directory on a file system that workers see, too, such as NFS or Lustre: inputs "
                 "below it and answers stay there in place of crossing the network");
  app.add_option("--token-file", options.token_file,
                 "file with the token that clients must show [KEYS/client.token]");
  app.add_option("--drain-timeout", options.drain_timeout_s,
                 "longest wait for uploads and downloads under way when told to stop, in seconds")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  app.add_option("--log-format", options.log_format,
                 "text, or json: each event of the log as one line of JSON")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  options.cache.add_to(app);
  add_config_option(app, options.config);
  auto* quiet = app.add_flag("-q,--quiet", options.quiet, "log errors only");
  app.add_flag("-v,--verbose", options.verbose, "log each request of a client, too")
      ->excludes(quiet);
  app.footer("Example:\n"
             "  gristmill-coordinator --listen tcp://0.0.0.0:7411 --http 0.0.0.0:7412 "
             "--http-plain --keys DIR --config gristmill.toml");
}

int complain(const std::string& sentence, int code) {
  say(fmt::format("gristmill-coordinator: {}\n", sentence));
  return code;
}

// Rooms may be in the middle of anything: what is not durable now never happened.
[[noreturn]] void die(const Error& error) {
  std::_Exit(
      complain(error.message, error.code == ErrorCode::used_up ? exit_start_again : exit_internal));
}

int exit_code_of(const Error& error) {
  return error.code == ErrorCode::internal ? exit_internal : exit_usage;
}

Result<std::string> token_of(const ProgramOptions& options) {
  if (!options.token_file.empty()) return read_client_token(options.token_file);
  if (!options.keys.empty()) return read_client_token(options.keys + "/client.token");
  return std::string{};
}

Result<std::unique_ptr<CoordinatorHost>> open_host(Stage& stage, const ProgramOptions& options) {
  HostOptions host;
  host.state_directory = options.state;
  host.listen = options.listen;
  host.pools = options.pools;
  const auto cache_bytes = options.cache.bytes_max();
  GRISTMILL_TRY(cache_bytes);
  host.cache_directory = options.cache.directory;
  host.cache_bytes = *cache_bytes;
  host.fatal = die;
  if (!options.shared.empty()) {
    auto shared = SharedDirectory::open(options.shared);
    if (!shared) return fail(shared.error().code, "--shared: " + shared.error().message);
    host.shared = std::move(*shared);
  }
  if (!options.keys.empty()) {
    auto keys = read_coordinator_keys(options.keys);
    GRISTMILL_TRY(keys);
    host.keys = std::move(*keys);
  }
  return CoordinatorHost::open(stage, std::move(host));
}

// What jobs have is kept, and a specification that cannot be read has nothing.
std::vector<std::vector<InputSpec>> inputs_of(const journal::Recovered& recovered) {
  std::vector<std::vector<InputSpec>> inputs;
  for (const journal::RecoveredJob& job : recovered.jobs)
    if (auto spec = job_spec_from_json(job.spec, Unknown::skipped)) {
      inputs.push_back(files_of(*spec));
      for (const journal::AppendNote& note : job.appends)
        inputs.back().insert(inputs.back().end(), note.inputs.begin(), note.inputs.end());
    }
  return inputs;
}

HttpApiOptions api_options(CoordinatorHost& host, const ProgramOptions& options, std::string token,
                           std::shared_ptr<journal::BlobStore> blobs) {
  HttpApiOptions api;
  api.state_directory = options.state;
  api.blobs = std::move(blobs);
  api.data_root = options.data_root;
  api.inputs_in_use = inputs_of(host.recovered());
  api.token = std::move(token);
  api.listen = options.http;
  api.hosts = options.http_hosts;
  api.ask = [&host](Question question, Told then) {
    host.ask(std::move(question), std::move(then));
  };
  api.lines = [&host](JobId job, journal::LineKind kind) { return host.lines_of(job, kind); };
  return api;
}

void say_ready(const std::string& listen, const std::string& http, Epoch epoch) {
  const nlohmann::ordered_json ready{
      {"event", "ready"}, {"listen", listen}, {"http", http}, {"epoch", epoch.value}};
  print_json(ready.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  std::fflush(stdout);
}

// Uploads looks at the state; here at what else is nobody's input.
Result<> check_data_root(const ProgramOptions& options) {
  if (options.data_root.empty()) return {};
  for (const auto& [option, path] :
       {std::pair{"--keys", options.keys}, std::pair{"--token-file", options.token_file},
        std::pair{"--state", options.state}})
    if (!path.empty()) GRISTMILL_TRY(keep_apart(options.data_root, option, path));
  return {};
}

int serve(const ProgramOptions& options) {
  StopSignals signals;
  if (auto enough = check_address_space(); !enough)
    return complain(enough.error().message, exit_internal);
  if (auto enough = keep_descriptor_reserve(); !enough)
    return complain(enough.error().message, exit_usage);
  const auto token = token_of(options);
  if (!token) return complain(token.error().message, exit_usage);
  if (auto may = check_http_access(options.http, !token->empty(), options.http_plain); !may)
    return complain(may.error().message, exit_usage);
  if (auto may = check_http_hosts(options.http_hosts); !may)
    return complain(may.error().message, exit_usage);
  if (auto may = check_listen_address(options.listen, !options.keys.empty()); !may)
    return complain(may.error().message, exit_usage);

  if (auto apart = check_data_root(options); !apart)
    return complain(apart.error().message, exit_usage);

  Stage stage{std::clamp(std::thread::hardware_concurrency(), 2u, 8u)};
  auto host = open_host(stage, options);
  if (!host) return complain(host.error().message, exit_code_of(host.error()));
  const Epoch epoch = (*host)->recovered().epoch;
  auto blobs = open_blobs(options.state);
  if (!blobs) return complain(blobs.error().message, exit_code_of(blobs.error()));
  auto api = HttpApi::open(api_options(**host, options, *token, std::move(*blobs)));
  if (!api) return complain(api.error().message, exit_code_of(api.error()));
  if (auto started = (*host)->start((*api)->input_roots()); !started)
    return complain(started.error().message, exit_code_of(started.error()));

  HttpServerOptions http;
  http.listen = options.http;
  http.places.per_address_max = options.http_per_address;
  http.is_always_answered = [&api](const HttpRequest& head) {
    return (*api)->is_always_answered(head);
  };
  http.open_task = [&api](const HttpRequest& head) {
    if (logs_details())
      log_detail("http", {"http.request", {{"method", head.method}, {"path", head.path}}});
    return (*api)->open_task(head);
  };
  auto server = HttpServer::open(std::move(http));
  if (!server) return complain(server.error().message, exit_code_of(server.error()));
  say_ready((*host)->listening(), (*server)->url(), epoch);

  while (signals.wait() == 0) {
  }
  signals.leave_at_once();
  (*server)->drain(std::chrono::milliseconds{static_cast<long>(1'000 * options.drain_timeout_s)});
  // Clients first: their questions reach into the node.
  (*server)->stop();
  (*host)->stop();
  return 0;
}

} // namespace
} // namespace gristmill::coordinator

int main(int argc, char** argv) {
  using namespace gristmill;
  keep_memory_private();
  guard_writes(); // also because whoever read the ready line may be gone
  coordinator::ProgramOptions options;
  CLI::App app{"Splits jobs into batches and hands them to workers; keeps what they answer.",
               "gristmill-coordinator"};
  coordinator::describe(app, options);
  app.set_version_flag("--version", fmt::format("gristmill-coordinator {}", program_version));
  try {
    app.parse(argc, argv);
    auto config = lay_config(options.config, app);
    if (!config) return coordinator::complain(config.error().message, coordinator::exit_usage);
    options.pools = std::move(config->pools);
    options.state = std::filesystem::absolute(options.state).string(); // as clients are told
    set_log_format(log_format_named(options.log_format));
    set_log_level(options.quiet     ? LogLevel::quiet
                  : options.verbose ? LogLevel::verbose
                                    : LogLevel::normal);
    return coordinator::serve(options);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    return coordinator::complain(
        fmt::format("{} (--help lists the options)", usage_sentence(e.get_name(), e.what())),
        coordinator::exit_usage);
  } catch (const std::exception& e) {
    return coordinator::complain(e.what(), coordinator::exit_internal);
  }
}
