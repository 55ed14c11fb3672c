// `gristmill export`: a result as a flat table, for a spreadsheet or a data frame.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_export(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
