// The options that every command shares which talks to a coordinator.
#pragma once

#include "cli/cluster/client.hpp"

#include <string>

namespace CLI {
class App;
} // namespace CLI

namespace gristmill::cli {

struct ServerOptions {
  std::string server = "http://127.0.0.1:7412", token_file;
  bool json = false;

  void add_to(CLI::App& command);
  Result<ClusterClient> connect() const;
  std::string typed() const; // for another command to the same coordinator, as a shell takes it
};

// One line on standard error; returns the exit code.
int complain(const CLI::App& command, const std::string& sentence, int exit_code);

void print_json(const ClusterClient::Json& json); // on standard output

} // namespace gristmill::cli
