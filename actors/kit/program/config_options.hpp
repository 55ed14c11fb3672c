// Lays the keys of a configuration file onto a program's options. Every option with a long name has
// its key: the same name with underscores. What was given on the command line holds; of options
// that exclude each other too. Invariant: a value from the file passes the same checks as one from
// the command line.
#pragma once

#include "actors/kit/program/config_file.hpp"

namespace CLI {
class App;
} // namespace CLI

namespace gristmill {

// `--config FILE`; the file is read by lay_config().
void add_config_option(CLI::App& app, std::string& path);

// To be called once the command line is parsed. No path: nothing is read.
Result<ConfigFile> lay_config(const std::string& path, CLI::App& app);

} // namespace gristmill
