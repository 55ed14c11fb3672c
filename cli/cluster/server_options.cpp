#include "cli/cluster/server_options.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/terminal/closing_lines.hpp"
#include "protocol/keys/access.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fmt/format.h>

namespace gristmill::cli {

void ServerOptions::add_to(CLI::App& command) {
  command.add_option("--server", server, "the coordinator's HTTP address")
      ->envname("GRISTMILL_SERVER")
      ->capture_default_str();
  command.add_option("--token-file", token_file,
                     "file with the client token, client.token of its keys [$GRISTMILL_TOKEN]");
  command.add_flag("--json", json, "print JSON on standard output");
}

Result<ClusterClient> ServerOptions::connect() const {
  std::string token;
  if (!token_file.empty()) {
    auto read = read_client_token(token_file);
    GRISTMILL_TRY(read);
    token = std::move(*read);
  } else if (const char* given = std::getenv("GRISTMILL_TOKEN")) {
    token = given;
  }
  for (const char c : token)
    if (c <= ' ' || c > '~')
      return fail(ErrorCode::usage, "GRISTMILL_TOKEN: expected a token without blanks, got some");
  const bool http = server.starts_with("http://") || server.starts_with("https://");
  if (!http || server.find_first_not_of('/', server.find("://") + 3) == server.npos)
    return fail(ErrorCode::usage,
                fmt::format("--server: expected http://HOST:PORT, got {}", server));
  return ClusterClient{server, token};
}

std::string ServerOptions::typed() const {
  const char* from_environment = std::getenv("GRISTMILL_SERVER");
  std::string words;
  if (server != ServerOptions{}.server &&
      (from_environment == nullptr || server != from_environment))
    words = " --server " + shell_word(server);
  if (!token_file.empty()) words += " --token-file " + shell_word(token_file);
  return words;
}

int complain(const CLI::App& command, const std::string& sentence, int exit_code) {
  say(fmt::format("gristmill {}: {}\n", command.get_name(), sentence));
  return exit_code;
}

void print_json(const ClusterClient::Json& json) {
  gristmill::print_json(json.dump(2, ' ', false, ClusterClient::Json::error_handler_t::replace));
}

} // namespace gristmill::cli
