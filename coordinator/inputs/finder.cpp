#include "coordinator/inputs/finder.hpp"

#include "actors/intake/input_format.hpp"
#include "coordinator/result/product_files.hpp"
#include "protocol/text/json_text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fmt/format.h>
#include <fnmatch.h>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", json::printable(name, 500), what));
}

tl::unexpected<Error> bad(const std::string& name, std::string_view expected, const Error& why) {
  auto error = bad(name, fmt::format("expected {} ({})", expected, why.message));
  if (why.code != ErrorCode::bad_input) error.value().code = why.code;
  return error;
}

// Of a component of a pattern that matches one name only: that name.
std::string unescaped(const std::string& component) {
  std::string name;
  for (std::size_t at = 0; at < component.size(); ++at) {
    if (component[at] == '\\' && at + 1 < component.size()) ++at;
    name += component[at];
  }
  return name;
}

std::vector<std::string> components_of(const std::string& pattern) {
  std::vector<std::string> components;
  for (std::size_t at = 0; at < pattern.size();) {
    const std::size_t end = std::min(pattern.find('/', at), pattern.size());
    if (end > at) components.push_back(pattern.substr(at, end - at));
    at = end + 1;
  }
  return components;
}

std::string joined(const std::string& directory, const std::string& name) {
  return directory.empty() || directory.ends_with('/') ? directory + name : directory + "/" + name;
}

} // namespace

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != name.npos;
}

InputSpec input_as_found(const std::string& path, std::string name,
                         const journal::ByteState& about) {
  InputSpec input{path, std::move(name)};
  input.bytes = about.bytes;
  input.modified_ns = about.modified_ns;
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
  GRISTMILL_TRY(path);
  struct stat about {};
  if (is_pattern(name) && ::lstat(path->c_str(), &about) != 0) return add_matches(name);
  if (::stat(path->c_str(), &about) == 0) {
    if (S_ISDIR(about.st_mode)) return add_directory(*path, name);
    const auto added = add_file(*path, name, Named::itself);
    return added ? Result<>{} : tl::unexpected{added.error()};
  }
  return bad(name, fmt::format("expected a readable file, a directory or a pattern, got none ({})",
                               std::strerror(errno)));
}

Result<bool> InputFinder::add_file(const std::string& path, std::string shown, Named named) {
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0)
    return bad(shown, fmt::format("expected a readable file ({})", std::strerror(errno)));
  if (!S_ISREG(about.st_mode))
    return bad(shown, "expected a file with content, got a device, a socket or a pipe; give - for "
                      "standard input");
  const auto opened = rules_.roots.open_file(path);
  if (!opened) return bad(shown, "a readable file", opened.error());
  if (!json::is_utf8(shown)) return bad(shown, "expected a name in UTF-8; rename the file");
  if (named == Named::by_search && is_product(*opened->file)) {
    if (rules_.left_out) rules_.left_out(shown);
    return false;
  }
  auto taken = found_(input_as_found(fs::absolute(path), std::move(shown), opened->about));
  return taken ? Result<bool>{true} : tl::unexpected{taken.error()};
}

// Whether a directory is a job's.
bool InputFinder::leave_out(const std::string& path, const std::string& shown) const {
  if (!is_state_directory(path)) return false;
  if (rules_.left_out) rules_.left_out(shown);
  return true;
}

Result<std::vector<DirectoryEntry>> InputFinder::entries(const std::string& path) const {
  auto directory = rules_.roots.open_directory(path.empty() ? "." : path);
  GRISTMILL_TRY(directory);
  return entries_of(std::move(*directory));
}

// Of links only those to files count, so that nobody is led in a circle or out of the directory.
Result<> InputFinder::find_below(const std::string& path, const std::string& below,
                                 std::vector<std::string>& found) const {
  const auto entries = this->entries(path + below);
  GRISTMILL_TRY(entries);
  for (const DirectoryEntry& entry : *entries) {
    const std::string there = joined(below, entry.name);
    if (entry.name.starts_with('.') || is_own(joined(path, there))) continue;
    if (entry.kind == DirectoryEntry::Kind::directory) {
      if (leave_out(joined(path, there), joined(path, there))) continue;
      GRISTMILL_TRY(find_below(path, there, found));
    } else if (intake::has_known_suffix(entry.name)) {
      found.push_back(there);
    }
  }
  return {};
}

Result<> InputFinder::add_directory(const std::string& path, const std::string& shown) {
  std::vector<std::string> found; // as they are below it
  const std::string slash = path.ends_with('/') ? "" : "/";
  if (auto searched = find_below(path + slash, "", found); !searched)
    return bad(shown, "a directory that can be read", searched.error());
  std::sort(found.begin(), found.end());
  bool any = false;
  for (const std::string& file : found) {
    std::string place = joined(path, file);
    std::error_code error;
    if (fs::is_symlink(place, error)) {
      auto led = real(place);
      GRISTMILL_TRY(led);
      place = std::move(*led);
      if (fs::is_directory(place, error)) continue;
    }
    const auto added = add_file(place, joined(shown, file), Named::by_search);
    GRISTMILL_TRY(added);
    any = any || *added;
  }
  if (any) return {};
  return bad(shown, found.empty()
                        ? "expected files in it (.jsonl .ndjson .json .csv .tsv .txt .md, also .gz "
                          "and .zst of them), got none"
                        : "expected documents in it, got only what jobs have left there; name a "
                          "result itself to have it as an input");
}

// Component by component and never through "." or "..": glob(3) would take ".[.]" for "..".
Result<> InputFinder::match(std::string so_far, const std::vector<std::string>& components,
                            std::size_t next, std::vector<std::string>& found) const {
  while (next < components.size() && !is_pattern(components[next]))
    so_far = joined(so_far, unescaped(components[next++]));
  const auto path = real(place_of(so_far));
  GRISTMILL_TRY(path);
  std::error_code error;
  if (next == components.size()) {
    if (fs::exists(fs::symlink_status(*path, error))) found.push_back(std::move(so_far));
    return {};
  }
  if (!path->empty() && !fs::is_directory(*path, error)) return {};
  const auto names = entries(*path);
  GRISTMILL_TRY(names);
  for (const DirectoryEntry& entry : *names) {
    if (::fnmatch(components[next].c_str(), entry.name.c_str(), FNM_PERIOD) != 0) continue;
    if (next + 1 < components.size() && entry.kind == DirectoryEntry::Kind::file) continue;
    GRISTMILL_TRY(match(joined(so_far, entry.name), components, next + 1, found));
  }
  return {};
}

Result<> InputFinder::add_matches(const std::string& name) {
  const auto components = components_of(name);
  if (rules_.real && std::find(components.begin(), components.end(), "..") != components.end())
    return bad(name, "expected a pattern without \"..\"");
  std::vector<std::string> found;
  if (auto matched = match(name.starts_with('/') ? "/" : "", components, 0, found); !matched) {
    if (matched.error().code == ErrorCode::refused) return matched;
    return bad(name, "directories that can be read", matched.error());
  }
  if (found.empty()) return bad(name, "expected files that match, got none");
  std::erase_if(found, [&](const std::string& file) {
    std::error_code ignored;
    return is_own(place_of(file)) ||
           (name.ends_with('/') && !fs::is_directory(place_of(file), ignored));
  });
  std::sort(found.begin(), found.end());
  if (found.empty()) return bad(name, "expected files that match, got only the job's own");
  bool any = false;
  for (const std::string& file : found) {
    const auto path = real(place_of(file));
    GRISTMILL_TRY(path);
    std::error_code ignored;
    const bool directory = fs::is_directory(*path, ignored);
    if (directory && leave_out(*path, file)) continue;
    auto added = Result<bool>{true};
    if (!directory) {
      added = add_file(*path, file, Named::by_search);
    } else if (auto inside = add_directory(*path, file); !inside) {
      added = tl::unexpected{inside.error()};
    }
    GRISTMILL_TRY(added);
    any = any || *added;
  }
  if (any) return {};
  return bad(name, "expected documents that match, got only what jobs have left there; name a "
                   "result itself to have it as an input");
}

bool InputFinder::is_own(const fs::path& path) const {
  if (rules_.own.empty()) return false;
  const std::string absolute = fs::absolute(path).lexically_normal();
  return absolute == rules_.own || absolute.starts_with(rules_.own + ".");
}

} // namespace gristmill::coordinator
