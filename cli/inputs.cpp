#include "cli/inputs.hpp"

#include "actors/intake/input_format.hpp"
#include "coordinator/input_list.hpp"
#include "protocol/openai/json_text.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <glob.h>
#include <iostream>
#include <memory>
#include <numeric>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t inputs_in_spec_max = 1'000;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", name, what));
}

bool is_pattern(const std::string& name) {
  return name.find_first_of("*?[") != name.npos;
}

InputSpec as_found(const std::string& path, std::string name, const struct stat& about) {
  InputSpec input{path, std::move(name)};
  input.bytes = static_cast<std::uint64_t>(about.st_size);
  input.modified_ns = static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
                      static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
  return input;
}

class Finder {
public:
  explicit Finder(const std::string& output) {
    if (!output.empty()) own_ = fs::absolute(output).lexically_normal();
  }

  Result<> add(const std::string& name) {
    struct stat about {};
    if (name == "-") {
      inputs.push_back({"-", "stdin"});
      return {};
    }
    if (::stat(name.c_str(), &about) == 0)
      return S_ISDIR(about.st_mode) ? add_directory(name) : add_file(name, about);
    if (errno == ENOENT && is_pattern(name)) return add_matches(name);
    return bad(name,
               fmt::format("expected a readable file, a directory or a pattern, got none ({})",
                           std::strerror(errno)));
  }

  std::vector<InputSpec> inputs;

private:
  Result<> add_file(const std::string& name, const struct stat& about) {
    if (!S_ISREG(about.st_mode))
      return bad(name, "expected a file with content, got a device, a socket or a pipe; give - for "
                       "standard input");
    if (::access(name.c_str(), R_OK) != 0)
      return bad(name, fmt::format("expected a readable file ({})", std::strerror(errno)));
    if (!openai::json::is_utf8(name))
      return bad(openai::json::printable(name, 200), "expected a name in UTF-8; rename the file");
    inputs.push_back(as_found(fs::absolute(name), name, about));
    return {};
  }

  Result<> add_directory(const std::string& name) {
    std::vector<std::string> found;
    std::error_code error;
    fs::recursive_directory_iterator entry{name, error};
    for (const fs::recursive_directory_iterator end; !error && entry != end;
         entry.increment(error)) {
      const std::string file = entry->path().filename();
      const bool hidden = file.starts_with('.');
      if (entry->is_directory(error)) {
        if (hidden || is_own(entry->path())) entry.disable_recursion_pending();
      } else if (!hidden && intake::has_known_suffix(file) && !is_own(entry->path())) {
        found.push_back(entry->path());
      }
      error.clear(); // of a link that leads nowhere: the file itself says so below
    }
    if (error)
      return bad(name, fmt::format("expected a directory that can be read ({})", error.message()));
    std::sort(found.begin(), found.end());
    for (const std::string& file : found)
      if (auto added = add_found(file); !added) return added;
    if (found.empty())
      return bad(name,
                 "expected files in it (.jsonl .ndjson .json .csv .tsv .txt .md, also .gz and "
                 ".zst of them), got none");
    return {};
  }

  Result<> add_matches(const std::string& name) {
    glob_t matches{};
    const int failed = ::glob(name.c_str(), GLOB_ERR, nullptr, &matches);
    const std::unique_ptr<glob_t, void (*)(glob_t*)> freed{&matches, ::globfree};
    if (failed == GLOB_NOMATCH) return bad(name, "expected files that match, got none");
    if (failed != 0)
      return bad(name,
                 fmt::format("expected directories that can be read ({})", std::strerror(errno)));
    std::vector<std::string> found(matches.gl_pathv, matches.gl_pathv + matches.gl_pathc);
    std::erase_if(found, [&](const std::string& file) { return is_own(file); });
    std::sort(found.begin(), found.end());
    for (const std::string& file : found) {
      std::error_code ignored;
      auto added = fs::is_directory(file, ignored) ? add_directory(file) : add_found(file);
      if (!added) return added;
    }
    if (found.empty()) return bad(name, "expected files that match, got only the job's own");
    return {};
  }

  Result<> add_found(const std::string& file) {
    struct stat about {};
    if (::stat(file.c_str(), &about) != 0)
      return bad(file, fmt::format("expected a readable file ({})", std::strerror(errno)));
    return add_file(file, about);
  }

  // The result, what stands beside it, and the state.
  bool is_own(const fs::path& path) const {
    const std::string absolute = fs::absolute(path).lexically_normal();
    return !own_.empty() && (absolute == own_ || absolute.starts_with(own_ + "."));
  }

  std::string own_; // empty: the result is written elsewhere
};

} // namespace

Result<std::vector<InputSpec>> found_inputs(const std::vector<std::string>& names,
                                            const std::string& output) {
  Finder finder{output};
  for (const std::string& name : names)
    if (auto added = finder.add(name); !added) return tl::unexpected{added.error()};
  const bool empty = std::all_of(finder.inputs.begin(), finder.inputs.end(),
                                 [](const InputSpec& i) { return i.bytes == 0 && i.path != "-"; });
  if (empty) return bad(names.front(), "expected items, got nothing: every file is empty");
  return std::move(finder.inputs);
}

Result<StandardInput> StandardInput::spool(const std::string& state, bool anew) {
  StandardInput spooled;
  const fs::path place = fs::absolute(state + ".stdin");
  fs::path now = place;
  struct stat about {};
  if (anew || ::stat(place.c_str(), &about) != 0) {
    now = spooled.part_ = place.string() + ".part";
    std::ofstream file{now, std::ios::binary};
    file << std::cin.rdbuf();
    if (std::cin.bad() || file.bad() || ::stat(now.c_str(), &about) != 0)
      return fail(ErrorCode::io, fmt::format("cannot spool standard input to {}", now.string()));
  }
  if (::stat(now.c_str(), &about) != 0 || about.st_size == 0)
    return bad("-", "expected items, got nothing: standard input is empty");
  spooled.input_ = as_found(place, "stdin", about);
  return spooled;
}

Result<> StandardInput::keep() {
  if (part_.empty()) return {};
  std::error_code error;
  fs::rename(part_, input_.path, error);
  if (error)
    return fail(ErrorCode::io,
                fmt::format("cannot keep standard input as {}: {}", input_.path, error.message()));
  part_.clear();
  return {};
}

StandardInput::~StandardInput() {
  std::error_code error;
  if (!part_.empty()) fs::remove(part_, error);
}

ListedInputs listed(std::vector<InputSpec> inputs, const std::string& list_path) {
  if (inputs.size() <= inputs_in_spec_max) return {std::move(inputs), {}};
  ListedInputs many;
  for (const InputSpec& input : inputs) (many.list += to_json(input)) += '\n';
  InputSpec list{list_path, fmt::format("{} files", inputs.size())};
  list.bytes = many.list.size();
  list.files = inputs.size();
  list.digest = coordinator::digest_of_list(many.list);
  many.inputs.push_back(std::move(list));
  return many;
}

bool reads_standard_input(const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), "-") != names.end();
}

Result<std::string> default_output(const std::vector<std::string>& names) {
  std::string name = names.front() == "-" ? "stdin" : names.front();
  if (is_pattern(name) && !fs::exists(name))
    return fail(ErrorCode::usage, fmt::format("-o: expected a name for the result, because {} is a "
                                              "pattern",
                                              name));
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  if (fs::path{name}.filename() == "." || fs::path{name}.filename() == "..") name += "/all";
  return name + ".results.jsonl";
}

} // namespace gristmill::cli
