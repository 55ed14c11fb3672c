// CONFIG FILE: a TOML file as plain data: [[pool]] tables, checked to the last key, and beside them
// keys with one value or several, which kit/config_options.hpp lays onto a program's options.
// Every fault is one sentence that begins with FILE:LINE:COLUMN and says what was expected and what
// came. Invariant: an unknown key is never passed over.
#pragma once

#include "protocol/job/pools.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill {

struct ConfigPlace {
  std::uint32_t line = 0, column = 0; // from 1
  auto operator<=>(const ConfigPlace&) const = default;
};

struct ConfigValue {
  enum class Kind : std::uint8_t { text, integer, real, boolean, other } kind = Kind::text;
  std::string text; // as an option would be given it
  ConfigPlace at;
};

struct ConfigEntry {
  std::string key;
  ConfigPlace at;
  bool is_list = false;
  std::vector<ConfigValue> values;
};

struct ConfigFile {
  std::string path;
  std::vector<ConfigEntry> entries; // in the order of the file
  std::vector<PoolSpec> pools;
  ConfigPlace first_pool; // of [[pool]], when there are pools
};

Result<ConfigFile> read_config_file(const std::string& path);
Result<ConfigFile> parse_config(std::string_view text, const std::string& path);

// "FILE:LINE:COLUMN: sentence"
tl::unexpected<Error> config_fault(const std::string& path, ConfigPlace at,
                                   std::string_view sentence);

// The key that is spelled most like `key`; "" when there is none at all.
std::string_view nearest_key(std::string_view key, const std::vector<std::string_view>& known);

// A value for people: "0.5", a text in quotes, "a table".
std::string shown(const ConfigValue& value);

} // namespace gristmill
