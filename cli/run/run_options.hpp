// What the command line of `gristmill run` says, and how the command complains.
#pragma once

#include "cli/exit_codes.hpp"
#include "cli/job_options.hpp"
#include "coordinator/cache/cache_options.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace gristmill::cli {

struct RunOptions {
  JobOptions job;
  std::string output, state, ca_file;
  coordinator::CacheOptions cache;
  std::uint32_t workers = 1, concurrency = 256;
  double drain_timeout_s = 25;
  std::optional<std::string> retry_failed; // classes, separated by commas; empty = all
  bool continues = false; // standard input goes on behind what an earlier run was given
  bool restart = false, json = false, quiet = false, verbose = false, no_progress = false;
  bool dry_run = false;
  std::string log_format = "text";
  std::vector<std::string> typed; // the command as it was given, argv[0] first
};

// Says the sentence on standard error; returns the exit code.
int complain(const std::string& sentence, int code = exit_usage);

} // namespace gristmill::cli
