#include "cli/run/output_place.hpp"

#include "cli/text_file.hpp"
#include "protocol/text/json_tree.hpp"

#include <cstdint>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <optional>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

// Without links on the way, and without a slash at its end.
fs::path real_place(const std::string& path) {
  std::error_code error;
  fs::path place = fs::weakly_canonical(fs::absolute(path), error);
  return place.has_filename() ? place : place.parent_path();
}

// How long the file beside this summary was when it was written; nothing if that cannot be known.
std::optional<std::uint64_t> written_bytes(const std::string& summary) {
  const auto text = text_of_file("-o", summary);
  const auto json = text ? json::tree(*text) : tl::unexpected{text.error()};
  if (!json || !json->is_object() || !json->contains("output")) return std::nullopt;
  const auto& output = (*json)["output"];
  if (!output.is_object() || !output.contains("bytes") || !output["bytes"].is_number_unsigned())
    return std::nullopt;
  return output["bytes"].get<std::uint64_t>();
}

} // namespace

std::string written_place(std::string output) {
  constexpr int links_max = 40;
  std::error_code error;
  for (int n = 0; n < links_max && fs::is_symlink(output, error); ++n) {
    if (fs::exists(output, error) && !fs::is_regular_file(output, error)) break;
    output = (fs::path{output}.parent_path() / fs::read_symlink(output, error)).string();
  }
  return output;
}

bool is_one_place(const std::string& a, const std::string& b) {
  return real_place(a) == real_place(b);
}

std::string said_of_change(const std::string& output) {
  std::error_code error;
  const auto bytes = fs::file_size(output, error);
  const auto written = written_bytes(output + ".summary.json");
  if (error || !written || *written == bytes) return {};
  return fmt::format("{} has {} bytes, it was written with {}: move it away to have it written "
                     "again\n",
                     output, bytes, *written);
}

} // namespace gristmill::cli
