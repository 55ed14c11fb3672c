// The commands that talk to a running coordinator: submit, append, watch, results, status, cancel,
// jobs, workers and others.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_cluster_commands(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
