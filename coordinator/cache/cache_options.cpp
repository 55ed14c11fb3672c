#include "coordinator/cache/cache_options.hpp"

#include "actors/kit/program/byte_size.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {
constexpr std::uint64_t bytes_least = 1u << 20;
} // namespace

void CacheOptions::add_to(CLI::App& app) {
  app.add_option("--cache", directory,
                 "directory of a cache of answers, made if it is absent: what was asked before, by "
                 "whatever job, is not asked again");
  app.add_option("--cache-bytes", size,
                 "most bytes of the cache, as 500M or 20G; what nobody has used for longest goes "
                 "first")
      ->capture_default_str();
}

Result<std::uint64_t> CacheOptions::bytes_max() const {
  auto bytes = byte_size_of(size, "--cache-bytes");
  if (bytes && *bytes < bytes_least)
    return fail(ErrorCode::usage,
                fmt::format("--cache-bytes: expected {} bytes or more, got {}", bytes_least, size));
  return bytes;
}

} // namespace gristmill::coordinator
