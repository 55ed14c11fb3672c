#include "coordinator/input_finder.hpp"

#include "actors/intake/input_format.hpp"
#include "protocol/openai/json_text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <glob.h>
#include <memory>
#include <unistd.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage,
              fmt::format("INPUT {}: {}", openai::json::printable(name, 500), what));
}

// For glob(3): the path itself, whatever is in it.
std::string escaped(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (c == '*' || c == '?' || c == '[' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern;
}

} // namespace

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != name.npos;
}

InputSpec input_as_found(const std::string& path, std::string name, const struct stat& about) {
  InputSpec input{path, std::move(name)};
  input.bytes = static_cast<std::uint64_t>(about.st_size);
  input.modified_ns = static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
                      static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
  return input;
}

InputFinder::InputFinder(FinderRules rules, Found found)
    : rules_{std::move(rules)}, found_{std::move(found)} {}

std::string InputFinder::place_of(const std::string& name) const {
  return rules_.base.empty() ? name : (fs::path{rules_.base} / name).string();
}

Result<std::string> InputFinder::real(const std::string& path) const {
  return rules_.real ? rules_.real(path) : Result<std::string>{path};
}

Result<> InputFinder::add(const std::string& name) {
  // Of a pattern this is the place where it begins to be one.
  const auto path = real(place_of(name));
  if (!path) return tl::unexpected{path.error()};
  struct stat about {};
  if (is_pattern(name) && ::lstat(path->c_str(), &about) != 0) return add_matches(name);
  if (::stat(path->c_str(), &about) == 0)
    return S_ISDIR(about.st_mode) ? add_directory(*path, name) : add_file(*path, name);
  return bad(name, fmt::format("expected a readable file, a directory or a pattern, got none ({})",
                               std::strerror(errno)));
}

Result<> InputFinder::add_file(const std::string& path, std::string shown) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0)
    return bad(shown, fmt::format("expected a readable file ({})", std::strerror(errno)));
  if (!S_ISREG(about.st_mode))
    return bad(shown, "expected a file with content, got a device, a socket or a pipe; give - for "
                      "standard input");
  if (::access(path.c_str(), R_OK) != 0)
    return bad(shown, fmt::format("expected a readable file ({})", std::strerror(errno)));
  if (!openai::json::is_utf8(shown)) return bad(shown, "expected a name in UTF-8; rename the file");
  return found_(input_as_found(fs::absolute(path), std::move(shown), about));
}

Result<> InputFinder::add_directory(const std::string& path, const std::string& shown) {
  std::vector<std::string> found; // as they are below it
  std::error_code error;
  fs::recursive_directory_iterator entry{path, error};
  for (const fs::recursive_directory_iterator end; !error && entry != end; entry.increment(error)) {
    const std::string file = entry->path().filename();
    const bool hidden = file.starts_with('.');
    if (entry->is_directory(error)) {
      if (hidden || is_own(entry->path())) entry.disable_recursion_pending();
    } else if (!hidden && intake::has_known_suffix(file) && !is_own(entry->path())) {
      found.push_back(entry->path().string().substr(path.size()));
    }
    error.clear(); // of a link that leads nowhere: the file itself says so below
  }
  if (error)
    return bad(shown, fmt::format("expected a directory that can be read ({})", error.message()));
  if (found.empty())
    return bad(shown, "expected files in it (.jsonl .ndjson .json .csv .tsv .txt .md, also .gz and "
                      ".zst of them), got none");
  std::sort(found.begin(), found.end());
  const bool twice = shown.ends_with('/') && found.front().starts_with('/');
  const std::string name = twice ? shown.substr(0, shown.size() - 1) : shown;
  for (std::string& file : found) {
    std::string place = path + file;
    // Only a link leads out of a directory: nobody follows those to other directories.
    if (fs::is_symlink(place, error)) {
      auto led = real(place);
      if (!led) return tl::unexpected{led.error()};
      place = std::move(*led);
    }
    if (auto added = add_file(place, name + file); !added) return added;
  }
  return {};
}

Result<> InputFinder::add_matches(const std::string& name) {
  const fs::path given{name};
  if (rules_.real && std::find(given.begin(), given.end(), "..") != given.end())
    return bad(name, "expected a pattern without \"..\"");
  std::string base = rules_.base;
  if (!base.empty()) base += '/';
  const std::string pattern = given.is_absolute() ? name : escaped(base) + name;
  glob_t matches{};
  const int failed = ::glob(pattern.c_str(), GLOB_ERR, nullptr, &matches);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> freed{&matches, ::globfree};
  if (failed == GLOB_NOMATCH) return bad(name, "expected files that match, got none");
  if (failed != 0)
    return bad(name,
               fmt::format("expected directories that can be read ({})", std::strerror(errno)));
  std::vector<std::string> found(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
  std::erase_if(found, [&](const std::string& file) { return is_own(file); });
  std::sort(found.begin(), found.end());
  if (found.empty()) return bad(name, "expected files that match, got only the job's own");
  for (const std::string& file : found) {
    const auto path = real(file);
    if (!path) return tl::unexpected{path.error()};
    std::string shown = given.is_absolute() ? file : file.substr(base.size());
    std::error_code ignored;
    auto added = fs::is_directory(*path, ignored) ? add_directory(*path, shown)
                                                  : add_file(*path, std::move(shown));
    if (!added) return added;
  }
  return {};
}

bool InputFinder::is_own(const fs::path& path) const {
  if (rules_.own.empty()) return false;
  const std::string absolute = fs::absolute(path).lexically_normal();
  return absolute == rules_.own || absolute.starts_with(rules_.own + ".");
}

} // namespace gristmill::coordinator
