#include "cli/cluster/commands.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/cluster/append.hpp"
#include "cli/cluster/results.hpp"
#include "cli/cluster/server_options.hpp"
#include "cli/cluster/submit.hpp"
#include "cli/exit_codes.hpp"
#include "cli/job_options.hpp"
#include "cli/terminal/money.hpp"
#include "cli/terminal/table.hpp"
#include "cli/terminal/text.hpp"
#include "coordinator/http/api/job_json.hpp"
#include "protocol/job/estimate.hpp"
#include "protocol/job/usd.hpp"

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <memory>

namespace gristmill::cli {
namespace {

using Json = ClusterClient::Json;

struct Options {
  ServerOptions server;
  std::string job, worker, classes;
  Usd budget;               // 0 = the one that the job has
  std::string item;         // an id
  std::uint64_t number = 0; // of an item, from 1; 0 = none
};
// What a command does once it has a client.
using Action = Result<> (*)(ClusterClient& client, const Options& options);

constexpr std::size_t shown_errors_max = 8;

std::string time_of(std::int64_t unix_seconds) {
  if (unix_seconds == 0) return "-";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}",
                     fmt::localtime(static_cast<std::time_t>(unix_seconds)));
}

std::string total_of(const JobCounts& counts) {
  return fmt::format("{}{}", counts.total, counts.total_known ? "" : "+");
}

std::string share_of(const wiring::JobView& job) {
  std::string text = fmt::format("priority {}, weight {}", job.priority, job.weight);
  if (job.deadline != 0) text += ", to be done by " + time_of(job.deadline);
  return text + (job.urgent ? ": before all others, to be in time" : "");
}

// "300 rate: HTTP 429 …: slow down (2 failed, 298 tried again; last 2026-11-29 17:53:36)"
std::string error_line(const CountedError& error) {
  std::string how = fmt::format("{} failed, {} tried again", error.final, error.retried());
  if (error.at == 0)
    how += ", before the coordinator's last start";
  else
    how += "; last " + time_of(error.at);
  return fmt::format("{} {}: {} ({})", error.count, info(error.cls).name, said(error), how);
}

void print_job(const wiring::JobView& job) {
  const JobCounts& c = job.counts;
  std::string text = fmt::format("{}  {}\n", to_string(job.id), name_of(job.state));
  const auto line = [&text](std::string_view name, const std::string& value) {
    if (!value.empty()) text += fmt::format("  {:<9}{}\n", name, value);
  };
  line("why", job.detail);
  line("waiting", job.why_waiting);
  line("items",
       fmt::format("{} of {}: {} answered, {} failed, {} retrying, {} in flight", c.terminal(),
                   total_of(c), c.completed, c.failed, c.retrying, c.in_flight));
  line("read", sentence_of(c.total, c.preprocessed));
  if (c.cached > 0)
    line("cached", fmt::format("{} took the answer to an equal request: {} tokens in, {} out{} "
                               "less",
                               c.cached, c.saved_prompt_tokens, c.saved_completion_tokens,
                               and_cost_of(c.saved_cost, {})));
  if (c.parts > 0) line("parts", fmt::format("{} answered or failed", c.parts));
  line("calls", fmt::format("{}, {} ambiguous, {} late", c.calls, c.ambiguous, c.late));
  for (const CountedError& error :
       leading(job.errors ? *job.errors : ErrorList{}, shown_errors_max))
    line("errors", error_line(error));
  line("tokens", fmt::format("{} in, {} out", c.prompt_tokens, c.completion_tokens));
  if (c.cost || job.budget) line("cost", and_cost_of(c.cost, job.budget, ""));
  if (const auto total = estimate_of(c); total && !is_over(job.state))
    line("est. total", fmt::format(" {} tokens in, {} out{}", total->prompt_tokens,
                                   total->completion_tokens, and_cost(total->cost)));
  if (job.is_closed)
    line("inputs", fmt::format("{} append{}{}", job.appends, job.appends == 1 ? "" : "s",
                               *job.is_closed ? "" : ", open for more"));
  line("share", share_of(job));
  line("created", time_of(job.created_at));
  if (job.ended_at != 0) line("ended", time_of(job.ended_at));
  if (job.state == JobState::finished || job.state == JobState::cancelled)
    line("result", fmt::format("gristmill results {} -o FILE", to_string(job.id)));
  gristmill::print(text);
}

void tell(const Options& options, const Json& json,
          const std::vector<std::vector<std::string>>& rows) {
  if (options.server.json) return print_json(json);
  gristmill::print(table(rows));
}

Result<> show_one(Result<wiring::JobView> job, const Options& options) {
  GRISTMILL_TRY(job);
  options.server.json ? print_json(coordinator::json_of(*job)) : print_job(*job);
  return {};
}

Result<> status(ClusterClient& client, const Options& options) {
  return show_one(client.show(options.job), options);
}

Result<> explain(ClusterClient& client, const Options& options) {
  if (options.number != 0 && !options.item.empty())
    return fail(ErrorCode::usage, "expected CUSTOM_ID or --item, got both");
  std::string path = "/api/v1/jobs/" + url_encoded(options.job) + "/explain";
  if (!options.item.empty()) path += "?item=" + url_encoded(options.item);
  if (options.number != 0) path += fmt::format("?number={}", options.number);
  const auto answer = client.ask(path);
  GRISTMILL_TRY(answer);
  if (options.server.json) {
    print_json(*answer);
    return {};
  }
  const auto text = [&](const char* member) {
    const Json value = answer->value(member, Json());
    return value.is_string() ? value.get<std::string>() : std::string{};
  };
  const std::string id = text("item"), remedy = text("remedy");
  std::string lines =
      fmt::format("{}{}: {}\n", options.job, id.empty() ? "" : " " + id, text("sentence"));
  if (!remedy.empty()) lines += fmt::format("  what would change it: {}\n", remedy);
  gristmill::print(lines);
  return {};
}

Result<> cancel(ClusterClient& client, const Options& options) {
  return show_one(client.change(options.job, "cancel"), options);
}

Result<> pause(ClusterClient& client, const Options& options) {
  return show_one(client.change(options.job, "pause"), options);
}

Result<> resume(ClusterClient& client, const Options& options) {
  return show_one(client.resume(options.job, options.budget), options);
}

Result<> retry(ClusterClient& client, const Options& options) {
  if (const auto classes = outcome_classes_named(options.classes); !classes)
    return fail(ErrorCode::usage, "--class: " + classes.error().message);
  return show_one(client.change(options.job, "retry?class=" + options.classes), options);
}

Result<> forget(ClusterClient& client, const Options& options) {
  const auto job = client.forget(options.job);
  GRISTMILL_TRY(job);
  if (options.server.json) {
    print_json(coordinator::json_of(*job));
  } else {
    say(fmt::format("{} is forgotten: its result, its journal and what was uploaded for it "
                    "alone are gone\n",
                    options.job));
  }
  return {};
}

Result<> close(ClusterClient& client, const Options& options) {
  return show_one(client.change(options.job, "close"), options);
}

Result<> jobs(ClusterClient& client, const Options& options) {
  const auto answer = client.jobs();
  GRISTMILL_TRY(answer);
  std::vector<std::vector<std::string>> rows{
      {"JOB", "STATE", "DONE", "OF", "FAILED", "IN FLIGHT", "CREATED", "ENDED"}};
  for (const Json& json : answer->value("jobs", Json::array())) {
    const auto job = coordinator::job_view_of(json);
    GRISTMILL_TRY(job);
    const JobCounts& c = job->counts;
    rows.push_back({to_string(job->id), std::string{name_of(job->state)},
                    std::to_string(c.terminal()), total_of(c), std::to_string(c.failed),
                    std::to_string(c.in_flight), time_of(job->created_at), time_of(job->ended_at)});
  }
  tell(options, *answer, rows);
  return {};
}

Result<> show_workers(const Result<Json>& answer, const Options& options) {
  GRISTMILL_TRY(answer);
  std::vector<std::vector<std::string>> rows{
      {"WORKER", "SESSION", "STATE", "KEY", "CAPACITY", "IN FLIGHT", "HELD", "DONE", "PER SECOND"}};
  for (const Json& json : answer->value("workers", Json::array())) {
    const auto worker = coordinator::worker_view_of(json);
    GRISTMILL_TRY(worker);
    rows.push_back({worker->name, json.value("session", "-"), worker->state,
                    worker->user.empty() ? "-" : worker->user, std::to_string(worker->capacity),
                    std::to_string(worker->in_flight), std::to_string(worker->held),
                    std::to_string(worker->completed), fmt::format("{:.1f}", worker->rate)});
  }
  tell(options, *answer, rows);
  return {};
}

Result<> workers(ClusterClient& client, const Options& options) {
  return show_workers(client.ask("/api/v1/workers"), options);
}

Result<> drain(ClusterClient& client, const Options& options) {
  return show_workers(client.drain(options.worker), options);
}

// A member of an endpoint or a pool as a cell: "-" for what there is not.
std::string cell(const Json& object, const char* member) {
  const Json value = object.value(member, Json());
  if (value.is_null()) return "-";
  return value.is_string() ? value.get<std::string>()
                           : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// "HTTP 503 overloaded: try later, 2026-11-29 17:53:36"
std::string last_error(const Json& endpoint) {
  const Json error = endpoint.value("last_error", Json());
  const auto errors =
      coordinator::errors_of(error.is_null() ? Json::array() : Json::array({error}));
  if (errors->empty()) return "-";
  constexpr std::size_t columns_max = 80;
  return cut_to(said(errors->front()), columns_max) + ", " + time_of(errors->front().at);
}

Result<> pools(ClusterClient& client, const Options& options) {
  const auto answer = client.ask("/api/v1/pools");
  GRISTMILL_TRY(answer);
  std::vector<std::vector<std::string>> rows{{"MODEL", "ENDPOINT", "WORKER", "RPM", "TPM", "RPD",
                                              "TPD", "SLOTS", "LIMIT", "IN FLIGHT", "PARKED S",
                                              "WHY", "LAST ERROR", "$ IN", "$ OUT", "FALLBACK"}};
  for (const Json& pool : answer->value("pools", Json::array())) {
    Json endpoints = pool.value("endpoints", Json::array());
    if (endpoints.empty()) endpoints.push_back(Json::object());
    for (const Json& endpoint : endpoints)
      rows.push_back({cell(pool, "model"), cell(endpoint, "url"), cell(endpoint, "worker"),
                      cell(endpoint, "requests_per_minute"), cell(endpoint, "tokens_per_minute"),
                      cell(endpoint, "requests_per_day"), cell(endpoint, "tokens_per_day"),
                      cell(endpoint, "max_in_flight"), cell(endpoint, "concurrency_limit"),
                      cell(endpoint, "in_flight"), cell(endpoint, "parked_s"),
                      cell(endpoint, "why"), last_error(endpoint), cell(pool, "price_input"),
                      cell(pool, "price_output"), cell(pool, "fallback")});
  }
  tell(options, *answer, rows);
  return {};
}

struct Command {
  const char *name, *help, *example;
  Action action;
  bool of_a_job = false;
};

} // namespace

void add_cluster_commands(CLI::App& app, int& exit_code) {
  add_submit(app, exit_code);
  add_append(app, exit_code);
  add_watch(app, exit_code);
  add_results(app, exit_code);
  static constexpr Command commands[]{
      {"jobs", "list the coordinator's jobs", "jobs", jobs},
      {"status", "show one job", "status job-7", status, true},
      {"explain",
       "say why a job, or one item of it, waits, and what would change it; of an item that is "
       "over, what became of it",
       "explain job-7 item-123", explain, true},
      {"close", "say that an open job gets no more inputs, so that it ends", "close job-7", close,
       true},
      {"cancel", "start no more calls of a job; every item gets its line", "cancel job-7", cancel,
       true},
      {"pause", "start no more calls of a job until it is resumed", "pause job-7", pause, true},
      {"resume", "go on with a job that is paused or has failed", "resume job-7", resume, true},
      {"retry", "run the failed items of a job that is over again",
       "retry job-7 --class transient,timeout", retry, true},
      {"forget", "remove a job that is over, its result and its uploads from the coordinator",
       "forget job-7", forget, true},
      {"workers", "list the workers", "workers --server http://coordinator.example:7412", workers},
      {"drain", "let a worker finish its calls in flight and end", "drain gpu-3", drain},
      {"pools", "list the models that are served, where, and at what price", "pools", pools},
  };
  for (const Command& described : commands) {
    auto* command = app.add_subcommand(described.name, described.help);
    auto options = std::make_shared<Options>();
    if (described.of_a_job) command->add_option("JOB", options->job, "the job's id")->required();
    if (described.action == drain)
      command
          ->add_option("WORKER", options->worker,
                       "a name, for all workers of that name, or a session, for one")
          ->required();
    if (described.action == resume)
      add_budget_option(*command, options->budget,
                        "US$ that the job may cost in its whole life from now on");
    if (described.action == explain) {
      command->add_option("CUSTOM_ID", options->item, "the id of an item [the job as a whole]");
      command->add_option("--item", options->number, "N: the Nth item of the input instead")
          ->check(CLI::PositiveNumber);
    }
    if (described.action == retry)
      command->add_option("--class", options->classes,
                          "classes of errors, separated by commas [all]");
    options->server.add_to(*command);
    command->footer(fmt::format("Example:\n  gristmill {}", described.example));
    command->callback([options, command, &described, &exit_code] {
      auto client = options->server.connect();
      const Result<> done =
          client ? described.action(*client, *options) : Result<>{tl::unexpected{client.error()}};
      exit_code = done ? exit_ok : complain(*command, done.error().message, exit_usage);
    });
  }
}

} // namespace gristmill::cli
