// `gristmill results`: a job's result when it is over, or with --follow its lines as they come.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_results(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
