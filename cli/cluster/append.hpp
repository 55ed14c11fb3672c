// `gristmill append`: more inputs for an open job, once each: a script that does not know whether
// an append has arrived gives it again with the same key.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_append(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
