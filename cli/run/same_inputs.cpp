#include "cli/run/same_inputs.hpp"

#include "coordinator/disk/file_io.hpp"
#include "coordinator/disk/file_reader.hpp"
#include "coordinator/inputs/digest.hpp"
#include "coordinator/inputs/list.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> differs(const InputSpec& input, std::string_view expected,
                              std::string_view got) {
  return fail(ErrorCode::usage,
              fmt::format("INPUT {}: expected {}, got {}", input.name, expected, got));
}

// The same file under another path, through a link, or of a directory that was moved as a whole.
bool is_same_place(const InputSpec& before, const InputSpec& now) {
  if (before.path == now.path) return true;
  std::error_code error;
  if (fs::exists(before.path, error)) return fs::equivalent(before.path, now.path, error);
  return !before.digest.empty() &&
         fs::path{before.path}.filename() == fs::path{now.path}.filename();
}

Result<> check_content(const InputSpec& before, const InputSpec& now) {
  if (before.bytes != now.bytes)
    return differs(now, fmt::format("the {} bytes that the job began with", before.bytes),
                   fmt::format("{} bytes", now.bytes));
  if (before.modified_ns == now.modified_ns && before.path == now.path) return {};
  if (before.digest.empty()) {
    if (before.modified_ns == now.modified_ns) return {};
    return differs(now, "the file that the job began with",
                   "one that was modified since (too large to compare its content)");
  }
  auto file = coordinator::open_file(now.path, O_RDONLY);
  GRISTMILL_TRY(file);
  const auto digest = coordinator::digest_of(coordinator::FileReader{std::move(*file)}, now.path);
  GRISTMILL_TRY(digest);
  if (*digest == before.digest) return {};
  return differs(now, "the content that the job began with", "as many bytes of another content");
}

} // namespace

Result<std::vector<InputSpec>> same_inputs(const std::vector<InputSpec>& before,
                                           const std::vector<InputSpec>& now) {
  auto list = coordinator::InputList::open(before);
  GRISTMILL_TRY(list);
  bool moved = false;
  std::vector<InputSpec> same;
  for (std::uint32_t n = 0; n < std::min<std::size_t>(list->count(), now.size()); ++n) {
    const auto known = list->at(n);
    GRISTMILL_TRY(known);
    const InputSpec& input = **known;
    if (!is_same_place(input, now[n]))
      return differs(now[n], fmt::format("{}, which is input {} of the job", input.name, n + 1),
                     "another file");
    if (!input.grows) GRISTMILL_TRY(check_content(input, now[n]));
    std::error_code error;
    moved = moved || (input.path != now[n].path && !fs::exists(input.path, error));
    if (list->is_listed()) continue;
    same.push_back(input);
    same.back().path = now[n].path;
    if (!input.grows) same.back().modified_ns = now[n].modified_ns;
  }
  if (list->count() > now.size()) {
    const auto missing = list->at(static_cast<std::uint32_t>(now.size()));
    GRISTMILL_TRY(missing);
    return fail(ErrorCode::usage,
                fmt::format("INPUT: expected the {} files that the job began with, got {}: {} is "
                            "missing",
                            list->count(), now.size(), (*missing)->name));
  }
  if (list->count() < now.size())
    return differs(now[list->count()],
                   fmt::format("the {} files that the job began with", list->count()),
                   "one more file");
  if (!list->is_listed()) return same;
  if (moved)
    return differs(now.front(), "the many files of the job where they were", "another place");
  return before;
}

} // namespace gristmill::cli
