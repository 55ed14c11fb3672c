// CACHE OPTIONS: what a program's command line says of its cache of answers.
#pragma once

#include "protocol/result.hpp"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace gristmill::coordinator {

struct CacheOptions {
  std::string directory; // empty = none
  std::string size = "10G";

  void add_to(CLI::App& app);
  Result<std::uint64_t> bytes_max() const; // usage: not a size, or fewer than a cache needs
};

} // namespace gristmill::coordinator
