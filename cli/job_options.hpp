// The options of `run` and `submit` that make a job: the table of job/options.hpp, what is more
// than a member of the job, and the JobSpec that they amount to.
#pragma once

#include "protocol/job/spec.hpp"
#include "protocol/job/usd.hpp"

#include <optional>
#include <string>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

struct JobOptions {
  std::vector<std::string> inputs;
  std::vector<std::string> endpoints;
  std::optional<std::string> api_key_env; // said and empty: there is no key
  std::string api_key_file, prompt_file;
  std::vector<std::string> params; // K=V
  std::string json_schema;         // a file
  double temperature = -1;
  std::string config;
  JobSpec said; // what the table of options takes

  // `endpoint_help`: what happens without --endpoint, which is not the same for all commands.
  void add_to(CLI::App& app, const std::string& endpoint_help, bool submits = false);
  // The specification without its inputs' places; errors name the option.
  Result<JobSpec> spec() const;
};

// --budget-usd, wherever it is taken.
void add_budget_option(CLI::App& app, Usd& budget, const std::string& help);

} // namespace gristmill::cli
