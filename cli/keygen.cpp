#include "cli/keygen.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/exit_codes.hpp"
#include "protocol/keys/access.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>

namespace gristmill::cli {

void add_keygen(CLI::App& app, int& exit_code) {
  struct Options {
    std::string directory, address = "tcp://127.0.0.1:7411";
  };
  auto* command = app.add_subcommand("keygen", "make the keys of a new cluster");
  auto options = std::make_shared<Options>();
  command->add_option("DIR", options->directory, "directory for the files, all 0600")->required();
  command->add_option("--address", options->address, "where workers will reach the coordinator")
      ->capture_default_str();
  command->footer("Example:\n"
                  "  gristmill keygen keys --address tcp://coordinator.example:7411");
  command->callback([options, &exit_code] {
    const auto told = generate_keys(options->directory, options->address);
    exit_code = told ? exit_ok : exit_usage;
    told ? static_cast<void>(print(*told))
         : say(fmt::format("gristmill keygen: {}\n", told.error().message));
  });
}

} // namespace gristmill::cli
