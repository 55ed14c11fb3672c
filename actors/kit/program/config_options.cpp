#include "actors/kit/program/config_options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <fmt/format.h>

namespace gristmill {
namespace {

using Kind = ConfigValue::Kind;

// What says itself how to be called, not how to work.
bool has_no_key(const std::string& name) {
  return name == "help" || name == "version" || name == "config";
}

std::string key_of(std::string option) {
  std::replace(option.begin(), option.end(), '-', '_');
  return option;
}

struct Key {
  std::string name;
  CLI::Option* option;
};

std::vector<Key> keys_of(CLI::App& app) {
  std::vector<Key> keys;
  for (CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames())
      if (!has_no_key(name)) keys.push_back({key_of(name), option});
  return keys;
}

bool is_flag(const CLI::Option& option) {
  return option.get_items_expected_max() == 0;
}

// What TOML type the option's values must have; empty = this one will do.
std::string_view type_fault(const CLI::Option& option, const ConfigValue& value) {
  if (is_flag(option)) return value.kind == Kind::boolean ? "" : "true or false";
  const std::string type = option.get_type_name();
  if (type.starts_with("UINT") || type.starts_with("INT"))
    return value.kind == Kind::integer ? "" : "an integer";
  if (type.starts_with("FLOAT"))
    return value.kind == Kind::integer || value.kind == Kind::real ? "" : "a number";
  const bool simple = value.kind == Kind::text || value.kind == Kind::integer;
  if (type.starts_with("PERCENT")) return simple || value.kind == Kind::real ? "" : "a percentage";
  return simple ? "" : "a text";
}

class Laying {
public:
  Laying(const ConfigFile& file, CLI::App& app) : file_{file}, keys_{keys_of(app)} {
    for (const Key& key : keys_)
      if (key.option->count() > 0) from_command_line_.push_back(key.option);
  }

  Result<> lay(const ConfigEntry& entry) {
    const auto key = std::find_if(keys_.begin(), keys_.end(),
                                  [&](const Key& known) { return known.name == entry.key; });
    if (key == keys_.end()) return unknown(entry);
    CLI::Option& option = *key->option;
    GRISTMILL_TRY(check_types(entry, option));
    if (is_from_command_line(&option)) return {};
    for (CLI::Option* other : option.get_excludes()) {
      if (is_from_command_line(other)) return {};
      if (other->count() > 0)
        return fault(entry.at, fmt::format("{}: expected it without {}, got both", entry.key,
                                           key_of(other->get_lnames().front())));
    }
    return give(entry, option);
  }

private:
  tl::unexpected<Error> fault(ConfigPlace at, std::string_view sentence) const {
    return config_fault(file_.path, at, sentence);
  }

  bool is_from_command_line(const CLI::Option* option) const {
    return std::find(from_command_line_.begin(), from_command_line_.end(), option) !=
           from_command_line_.end();
  }

  Result<> unknown(const ConfigEntry& entry) const {
    std::vector<std::string_view> known{"pool"};
    for (const Key& key : keys_) known.push_back(key.name);
    return fault(entry.at, fmt::format("expected the name of an option as key, got \"{}\"; did you "
                                       "mean {}?",
                                       entry.key, nearest_key(entry.key, known)));
  }

  Result<> check_types(const ConfigEntry& entry, const CLI::Option& option) const {
    if (entry.is_list && option.get_items_expected_max() <= 1)
      return fault(entry.at, fmt::format("{}: expected one value, got an array", entry.key));
    for (const ConfigValue& value : entry.values)
      if (const auto type = type_fault(option, value); !type.empty())
        return fault(value.at,
                     fmt::format("{}: expected {}, got {}", entry.key, type, shown(value)));
    return {};
  }

  Result<> give(const ConfigEntry& entry, CLI::Option& option) const {
    if (entry.values.empty()) return {}; // an empty list
    if (is_flag(option) && entry.values.front().text == "false") return {};
    try {
      for (const ConfigValue& value : entry.values) option.add_result(value.text);
      option.run_callback();
    } catch (const CLI::Error& error) {
      // CLI11 begins with the option's name; the key stands before it already.
      std::string_view why = error.what();
      if (const auto colon = why.find(": "); colon != why.npos && why.starts_with("--"))
        why.remove_prefix(colon + 2);
      if (why.starts_with("expected ")) // our own validators say all
        return fault(entry.values.front().at, fmt::format("{}: {}", entry.key, why));
      return fault(entry.values.front().at,
                   fmt::format("{}: expected what --help says, got {}: {}", entry.key,
                               shown(entry.values.front()), why));
    }
    return {};
  }

  const ConfigFile& file_;
  std::vector<Key> keys_;
  std::vector<const CLI::Option*> from_command_line_;
};

} // namespace

void add_config_option(CLI::App& app, std::string& path) {
  app.add_option("--config", path,
                 "TOML file with these options as keys (underscores for dashes); the command line "
                 "overrides it");
}

Result<ConfigFile> lay_config(const std::string& path, CLI::App& app) {
  if (path.empty()) return ConfigFile{};
  auto file = read_config_file(path);
  GRISTMILL_TRY(file);
  Laying laying{*file, app};
  for (const ConfigEntry& entry : file->entries) GRISTMILL_TRY(laying.lay(entry));
  return file;
}

} // namespace gristmill
