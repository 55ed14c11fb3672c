// `gristmill journal`: looks into the state directory of a coordinator, or of a run, that is down.
#pragma once

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

void add_journal(CLI::App& app, int& exit_code);

} // namespace gristmill::cli
