// `gristmill cache`: looks into the directory of an answer cache, and makes it smaller. Runs may go
// on using it meanwhile.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_cache(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
