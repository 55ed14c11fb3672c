// gristmill: the user's command. Each subcommand adds itself and leaves its exit code behind.
#include "actors/kit/program/private_memory.hpp"
#include "actors/kit/program/process_guard.hpp"
#include "actors/kit/program/terminal.hpp"
#include "actors/kit/program/usage_sentence.hpp"
#include "cli/cache.hpp"
#include "cli/cluster/commands.hpp"
#include "cli/exit_codes.hpp"
#include "cli/export/export.hpp"
#include "cli/journal.hpp"
#include "cli/keygen.hpp"
#include "cli/run/run.hpp"
#include "protocol/version.hpp"

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fmt/format.h>

namespace {

using namespace gristmill;

// One line, and where to read more.
int explain(const CLI::App& app, const CLI::ParseError& error, const char* first) {
  std::string command = app.get_name(), what = usage_sentence(error.get_name(), error.what());
  for (auto named = app.get_subcommands(); !named.empty(); named = named.front()->get_subcommands())
    command += " " + named.front()->get_name();
  if (app.get_subcommands().empty())
    what = fmt::format("expected a command such as run, got {}", first);
  say(fmt::format("{0}: {1} (see `{0} --help`)\n", command, what));
  return cli::exit_usage;
}

// The exit code, unless something that was to be printed did not arrive.
int when_printed(int exit_code) {
  errno = 0;
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return exit_code;
  say(fmt::format("gristmill: standard output did not take all that was to be printed{}\n",
                  errno != 0 ? fmt::format(" ({})", std::strerror(errno)) : ""));
  return exit_code == cli::exit_ok || exit_code == cli::exit_some_failed ? cli::exit_stopped
                                                                         : exit_code;
}

} // namespace

int main(int argc, char** argv) {
  keep_memory_private();
  guard_writes();
  int exit_code = cli::exit_ok;
  CLI::App app{"Runs a corpus through language models, on this machine or on many.", "gristmill"};
  app.set_version_flag("--version", fmt::format("gristmill {}", program_version));
  app.require_subcommand(1);
  app.footer("Example:\n"
             "  gristmill run requests.jsonl --endpoint http://localhost:8000/v1 -o answers.jsonl\n"
             "`gristmill COMMAND --help` shows a command's options and an example.");
  cli::add_run(app, {argv, argv + argc}, exit_code);
  cli::add_cluster_commands(app, exit_code);
  cli::add_export(app, exit_code);
  cli::add_keygen(app, exit_code);
  cli::add_journal(app, exit_code);
  cli::add_cache(app, exit_code);
  if (argc < 2) { // nothing was asked for, so nothing can have been done
    say(app.help());
    return cli::exit_usage;
  }
  try {
    app.parse(argc, argv);
    return when_printed(exit_code);
  } catch (const CLI::ParseError& e) {
    return e.get_exit_code() == 0 ? when_printed(app.exit(e)) : explain(app, e, argv[1]);
  } catch (const std::exception& e) {
    say(fmt::format("gristmill: internal error: {}\n", e.what()));
    return cli::exit_internal;
  }
}
