#include "cli/cluster/append.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/cluster/placement.hpp"
#include "cli/cluster/server_options.hpp"
#include "cli/exit_codes.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

namespace gristmill::cli {
namespace {

struct AppendOptions {
  ServerOptions server;
  std::string job, key;
  std::vector<std::string> inputs;
  bool in_place = false;
};

// With a key that its user has thought of it is what was meant; else it may be a slip.
int tell_repeated(const CLI::App& command, const AppendOptions& options,
                  const ClusterClient::Appended& appended) {
  if (options.key.empty())
    return complain(command,
                    fmt::format("{}: the same was appended before, as append {}; nothing was "
                                "added; with another --key it is appended again",
                                options.job, appended.number),
                    exit_usage);
  if (!options.server.json)
    gristmill::print(fmt::format("{}: appended before, as append {}; nothing was added\n",
                                 options.job, appended.number));
  return exit_ok;
}

int append(const CLI::App& command, const AppendOptions& options) {
  auto client = options.server.connect();
  if (!client) return complain(command, client.error().message, exit_usage);
  // Before anything is uploaded for a job that there is not.
  if (const auto job = client->show(options.job); !job)
    return complain(command, job.error().message, exit_code_of_failure(job.error()));
  std::vector<InputSpec> inputs;
  Placement placement{*client, options.inputs};
  const auto refusal = options.in_place ? placement.in_place(inputs) : placement.upload(inputs);
  if (refusal) return complain(command, refusal->sentence, refusal->exit_code);
  const auto appended = client->append(options.job, options.key, inputs);
  placement.settle(appended && !appended->repeated);
  if (!appended)
    return complain(command, appended.error().message, exit_code_of_failure(appended.error()));
  if (options.server.json) print_json(appended->told);
  if (appended->repeated) return tell_repeated(command, options, *appended);
  if (!options.server.json)
    gristmill::print(fmt::format("{}: append {} ({} input{})\n", options.job, appended->number,
                                 appended->inputs, appended->inputs == 1 ? "" : "s"));
  return exit_ok;
}

} // namespace

void add_append(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("append", "add inputs to an open job");
  auto options = std::make_shared<AppendOptions>();
  command->add_option("JOB", options->job, "the job's id")->required();
  command
      ->add_option("INPUT", options->inputs,
                   "files, directories or patterns, as `gristmill submit` takes them; - = standard "
                   "input")
      ->required();
  command->add_option("--key", options->key,
                      "KEY: what was appended with it before is not appended again [the inputs' "
                      "names and contents]");
  command->add_flag("--in-place", options->in_place,
                    "the inputs are files, directories and patterns below the coordinator's "
                    "--data-root: upload none of them");
  options->server.add_to(*command);
  command->footer("Example:\n  gristmill append job-7 monday.jsonl --key monday\n"
                  "Ends with 2 if the job takes no more inputs, 4 if nobody has answered: then the "
                  "same command tries again.");
  command->callback([options, command, &exit_code] { exit_code = append(*command, *options); });
}

} // namespace gristmill::cli
