#include "cli/journal.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/exit_codes.hpp"
#include "cli/terminal/table.hpp"
#include "cli/terminal/text.hpp"
#include "coordinator/journal/check.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <memory>
#include <nlohmann/json.hpp>

namespace gristmill::cli {
namespace {

using coordinator::CommitView;
using coordinator::JournalCheck;
using Json = nlohmann::ordered_json;

struct Options {
  std::string directory;
  bool json = false, commits = false;
};

int complain_of_journal(const char* command, const Error& error) {
  say(fmt::format("gristmill journal {}: {}\n", command, error.message));
  return error.code == ErrorCode::io ? exit_internal : exit_usage;
}

void print(const Json& json) {
  gristmill::print_json(json.dump(2, ' ', false, Json::error_handler_t::replace));
}

int verify(const Options& options) {
  auto journal = JournalCheck::open(options.directory);
  if (!journal) return complain_of_journal("verify", journal.error());
  const auto found = journal->verify();
  if (!found) return complain_of_journal("verify", found.error());
  const std::uint64_t faults = found->faults.size() + found->more_faults;
  if (options.json) {
    print({{"commits", found->commits},
           {"lines", found->lines},
           {"line_bytes", found->line_bytes},
           {"faults", found->faults},
           {"more_faults", found->more_faults},
           {"notes", found->notes}});
  } else {
    std::string text;
    for (const std::string& note : found->notes) text += "note: " + note + "\n";
    for (const std::string& fault : found->faults) text += "fault: " + fault + "\n";
    if (found->more_faults > 0)
      text += fmt::format("and {} more faults\n", grouped(found->more_faults));
    text += fmt::format(
        "{}: {} commits, {} result lines, {} bytes of them: {}\n", options.directory,
        grouped(found->commits), grouped(found->lines), grouped(found->line_bytes),
        faults == 0 ? "whole" : fmt::format("{} fault{}", grouped(faults), faults == 1 ? "" : "s"));
    gristmill::print(text);
  }
  return faults == 0 ? exit_ok : exit_internal;
}

Json json_of(const CommitView& commit) {
  return {{"position", commit.position},  {"epoch", commit.epoch.value},
          {"job", to_string(commit.job)}, {"segment", commit.lines.segment},
          {"from", commit.lines.from},    {"to", commit.lines.to},
          {"reopened", commit.reopened},  {"completed", commit.completed},
          {"failed", commit.failed},      {"attempts", commit.attempts},
          {"low_item", commit.low_item}};
}

// One line a commit, because there may be millions.
int show_commits(JournalCheck& journal, const Options& options) {
  if (!options.json)
    gristmill::print(
        "position epoch job segment from to reopened completed failed attempts low_item\n");
  const auto shown = journal.commits([&](const CommitView& c) {
    if (options.json)
      return gristmill::print_json(json_of(c).dump(-1, ' ', false, Json::error_handler_t::replace));
    return gristmill::print(fmt::format("{} {} {} {} {} {} {} {} {} {} {}\n", c.position,
                                        c.epoch.value, to_string(c.job), c.lines.segment,
                                        c.lines.from, c.lines.to, c.reopened, c.completed, c.failed,
                                        c.attempts, c.low_item));
  });
  return shown ? exit_ok : complain_of_journal("show", shown.error());
}

// Of items that have several, and are open or have failed.
Json json_of(const std::map<std::uint64_t, journal::EndedParts>& parts) {
  Json items = Json::array();
  for (const auto& [item, ended] : parts) {
    Json answered = Json::array();
    for (const auto& [part, size] : ended.answered) answered.push_back(part);
    items.push_back({{"item", item}, {"answered", answered}, {"failed", ended.failed}});
  }
  return items;
}

Json json_of(const journal::RecoveredJob& job) {
  return {{"id", to_string(job.job)},
          {"state", name_of(job.state)},
          {"reason", name_of(job.reason)},
          {"detail", job.detail},
          {"directory", job.directory},
          {"completed", job.counts.completed},
          {"failed", job.counts.failed},
          {"attempts", job.counts.attempts},
          {"ambiguous", job.counts.ambiguous},
          {"low_item", job.low.item},
          {"mark", job.mark},
          {"parts", json_of(job.parts)}};
}

std::string parts_text(const journal::RecoveredJob& job) {
  constexpr std::size_t most = 20;
  std::string text;
  std::size_t told = 0;
  for (const auto& [item, ended] : job.parts) {
    if (told++ == most) break;
    text += fmt::format("{}, item {}: {} parts answered, {} failed\n", to_string(job.job), item,
                        grouped(ended.answered.size()), grouped(ended.failed.size()));
  }
  if (job.parts.size() > most)
    text += fmt::format("{}: and {} more items with parts (--json)\n", to_string(job.job),
                        grouped(job.parts.size() - most));
  return text;
}

int show(const Options& options) {
  auto journal = JournalCheck::open(options.directory);
  if (!journal) return complain_of_journal("show", journal.error());
  if (options.commits) return show_commits(*journal, options);
  const auto found = journal->recovered();
  if (!found) return complain_of_journal("show", found.error());
  if (options.json) {
    Json jobs = Json::array();
    for (const auto& job : found->jobs) jobs.push_back(json_of(job));
    print({{"next_epoch", found->epoch.value},
           {"last_position", found->last_position},
           {"open_sessions", found->sessions.size()},
           {"blocks", found->blocks.size()},
           {"jobs", std::move(jobs)}});
    return exit_ok;
  }
  std::vector<std::vector<std::string>> rows{
      {"job", "state", "completed", "failed", "calls", "ambiguous", "low item", "mark", "why"}};
  for (const auto& job : found->jobs)
    rows.push_back({to_string(job.job), std::string{name_of(job.state)},
                    grouped(job.counts.completed), grouped(job.counts.failed),
                    grouped(job.counts.attempts), grouped(job.counts.ambiguous),
                    grouped(job.low.item), grouped(job.mark), cut_to(job.detail, 60)});
  gristmill::print(table(rows));
  for (const auto& job : found->jobs) gristmill::print(parts_text(job));
  gristmill::print(
      fmt::format("the next epoch is {}; the last position {}; {} sessions open, {} budget "
                  "blocks remembered\n",
                  found->epoch.value, grouped(found->last_position), found->sessions.size(),
                  found->blocks.size()));
  return exit_ok;
}

} // namespace

void add_journal(CLI::App& app, int& exit_code) {
  auto* journal = app.add_subcommand("journal", "look into a state directory whose owner is down");
  journal->require_subcommand(1);
  journal->footer("Example:\n"
                  "  gristmill journal verify answers.jsonl.state");
  const auto add = [&](const char* name, const char* help, const char* example,
                       int (*carry_out)(const Options&)) {
    auto* command = journal->add_subcommand(name, help);
    auto options = std::make_shared<Options>();
    command->add_option("DIR", options->directory, "state directory")->required();
    command->add_flag("--json", options->json, "print JSON");
    command->footer(fmt::format("Example:\n  {}", example));
    command->callback([options, carry_out, &exit_code] { exit_code = carry_out(*options); });
    return std::pair{command, options};
  };
  add("verify", "read all of it: pages, rows, and every result line; exit code 70 if it is damaged",
      "gristmill journal verify answers.jsonl.state", verify);
  const auto [command, options] = add("show", "its jobs as the next start would find them",
                                      "gristmill journal show answers.jsonl.state --commits", show);
  command->add_flag("--commits", options->commits,
                    "each group of the journal instead, one line for each job in it");
}

} // namespace gristmill::cli
