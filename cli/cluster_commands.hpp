// The commands that talk to a running coordinator: submit, watch, status, results, cancel, jobs,
// workers and drain.
#pragma once

#include <CLI/CLI.hpp>

namespace gristmill::cli {

void add_cluster_commands(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
