// `gristmill run`: a coordinator node and worker nodes inside this process, over the cluster's own
// gateway, link and codec, with the state beside the output.
#pragma once

#include <string>
#include <vector>

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

// `typed`: the words of the command line.
void add_run(CLI::App& app, std::vector<std::string> typed, int& exit_code);

} // namespace gristmill::cli
