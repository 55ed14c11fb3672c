// `gristmill run`: a coordinator node and worker nodes inside this process, over the cluster's own
// gateway, link and codec, with the state beside the output.
#pragma once

#include <CLI/CLI.hpp>

namespace gristmill::cli {

void add_run(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
