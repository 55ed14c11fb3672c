// The options of `run` and `submit` that make a job: one table of flags for both, and the JobSpec
// that they amount to.
#pragma once

#include "protocol/job_spec.hpp"

#include <cstdint>
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
  std::string api_key_file;
  std::string model, prompt, prompt_file, system;
  std::string task = "chat";
  std::vector<std::string> labels;
  std::string id_field = "id", text_field = "text", order = "input";
  std::vector<std::string> params; // K=V
  std::string json_schema;         // a file
  std::vector<std::string> keep;   // field names, several in one by commas
  std::uint64_t max_tokens = 0;
  double temperature = -1;
  std::uint64_t requests_per_minute = 0, tokens_per_minute = 0;
  std::uint32_t max_in_flight = 0, retries = 5, batch_size = 256;
  std::uint32_t patience_s = 0; // under `run` another default
  double budget_usd = 0;
  std::string assume_url, delimiter;
  bool strict = false, skip_blank = false, no_field_needed = false;
  double timeout_s = 600, connect_timeout_s = 10;
  std::uint64_t line_bytes_max = 16u << 20, limit = 0;
  std::string max_failures = "50%";
  std::string hedge = "0%";
  std::string fallback_model, config;

  // `endpoint_help`: what happens without --endpoint, which is not the same for all commands.
  void add_to(CLI::App& app, const std::string& endpoint_help);
  // The specification without its inputs' places; errors name the option.
  Result<JobSpec> spec() const;
};

// --budget-usd, wherever it is taken.
void add_budget_option(CLI::App& app, double& usd, const std::string& help);

} // namespace gristmill::cli
