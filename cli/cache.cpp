#include "cli/cache.hpp"

#include "actors/kit/clock.hpp"
#include "actors/kit/program/terminal.hpp"
#include "cli/exit_codes.hpp"
#include "cli/terminal/byte_size.hpp"
#include "cli/terminal/deadline.hpp"
#include "cli/terminal/text.hpp"
#include "coordinator/cache/cache_store.hpp"

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

namespace gristmill::cli {
namespace {

using coordinator::CacheStats;
using coordinator::CacheStore;
using Json = nlohmann::ordered_json;

struct CacheOptions {
  std::string directory;
  bool json = false;
  std::string to, older_than;
};

int complain_of_cache(const char* command, const Error& error) {
  say(fmt::format("gristmill cache {}: {}\n", command, error.message));
  switch (error.code) {
  case ErrorCode::io: return exit_internal;
  case ErrorCode::disk_full:
  case ErrorCode::unavailable: return exit_stopped;
  default: return exit_usage;
  }
}

std::string hour_of(std::int64_t unix_seconds) {
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(static_cast<std::time_t>(unix_seconds)));
}

std::string text_of(const CacheStats& stats, const std::string& directory) {
  std::string text =
      fmt::format("{}: {} answers, {} of at most {} bytes, {} bytes unpacked, a file of {} bytes",
                  directory, grouped(stats.entries), grouped(stats.bytes), grouped(stats.bytes_max),
                  grouped(stats.body_bytes), grouped(stats.file_bytes));
  if (stats.entries > 0)
    text +=
        fmt::format("; used from {} to {}", hour_of(stats.oldest_use), hour_of(stats.newest_use));
  return text + "\n";
}

Json json_of(const CacheStats& stats) {
  Json json{{"entries", stats.entries},       {"bytes", stats.bytes},
            {"bytes_max", stats.bytes_max},   {"body_bytes", stats.body_bytes},
            {"file_bytes", stats.file_bytes}, {"oldest_use", nullptr},
            {"newest_use", nullptr}};
  if (stats.entries > 0) {
    json["oldest_use"] = stats.oldest_use;
    json["newest_use"] = stats.newest_use;
  }
  return json;
}

int show_stats(const CacheOptions& options) {
  auto store = CacheStore::open_to_look(options.directory);
  if (!store) return complain_of_cache("stats", store.error());
  const auto found = store->stats();
  if (!found) return complain_of_cache("stats", found.error());
  if (options.json)
    print_json(json_of(*found).dump(2, ' ', false, Json::error_handler_t::replace));
  else
    print(text_of(*found, options.directory));
  return exit_ok;
}

// What is to stay.
struct CacheLimits {
  std::uint64_t bytes = std::numeric_limits<std::uint64_t>::max();
  std::optional<std::chrono::seconds> unused_for;
};

Result<CacheLimits> limits_of(const CacheOptions& options) {
  CacheLimits limits;
  if (options.to.empty() && options.older_than.empty())
    return fail(ErrorCode::usage, "expected --to or --older-than, got neither: say what is to go");
  if (!options.to.empty()) {
    const auto bytes = byte_size_of(options.to, "--to");
    GRISTMILL_TRY(bytes);
    limits.bytes = *bytes;
  }
  if (!options.older_than.empty()) {
    const auto span = span_of(options.older_than);
    if (!span)
      return fail(ErrorCode::usage, fmt::format("--older-than: expected a span such as 90s, 30m, "
                                                "2h or 30d, got \"{}\"",
                                                options.older_than));
    limits.unused_for = std::chrono::seconds{*span};
  }
  return limits;
}

int prune_cache(const CacheOptions& options) {
  const auto limits = limits_of(options);
  if (!limits) return complain_of_cache("prune", limits.error());
  auto store = CacheStore::open_to_look(options.directory);
  if (!store) return complain_of_cache("prune", store.error());
  const auto pruned = store->prune(limits->bytes, limits->unused_for, wall_seconds());
  if (!pruned) return complain_of_cache("prune", pruned.error());
  const auto left = store->stats();
  if (!left) return complain_of_cache("prune", left.error());
  print(fmt::format("{}: {} answers of {} bytes removed\n{}", options.directory,
                    grouped(pruned->entries), grouped(pruned->bytes),
                    text_of(*left, options.directory)));
  return exit_ok;
}

} // namespace

void add_cache(CLI::App& app, int& exit_code) {
  auto* cache = app.add_subcommand("cache", "look into a cache of answers, or make it smaller");
  cache->require_subcommand(1);
  cache->footer("Example:\n"
                "  gristmill cache stats answers.cache");
  const auto add = [&](const char* name, const char* help, const char* example,
                       int (*carry_out)(const CacheOptions&)) {
    auto* command = cache->add_subcommand(name, help);
    auto options = std::make_shared<CacheOptions>();
    command->add_option("DIR", options->directory, "directory of the cache")->required();
    command->footer(fmt::format("Example:\n  {}", example));
    command->callback([options, carry_out, &exit_code] { exit_code = carry_out(*options); });
    return std::pair{command, options};
  };
  const auto [look, looks] = add("stats",
                                 "how many answers it has, how large it is, and when it "
                                 "was used",
                                 "gristmill cache stats answers.cache", show_stats);
  look->add_flag("--json", looks->json, "print JSON");
  const auto [cut, cuts] =
      add("prune", "remove answers, those first that were used longest ago",
          "gristmill cache prune answers.cache --to 10G --older-than 90d", prune_cache);
  cut->add_option("--to", cuts->to, "until it has at most so many bytes, such as 500M or 20G");
  cut->add_option("--older-than", cuts->older_than,
                  "that nobody has used for so long, such as 12h or 30d");
}

} // namespace gristmill::cli
