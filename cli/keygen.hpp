// `gristmill keygen`: the keys of a new cluster.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_keygen(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
