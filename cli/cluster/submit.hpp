// `gristmill submit` and `gristmill watch`: hand a job to a coordinator, and wait for its end.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_submit(CLI::App& app, int& exit_code);
void add_watch(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
