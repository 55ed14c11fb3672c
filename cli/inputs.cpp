#include "cli/inputs.hpp"

#include "coordinator/input_finder.hpp"
#include "coordinator/input_list.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <sys/stat.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", name, what));
}

} // namespace

Result<std::vector<InputSpec>> found_inputs(const std::vector<std::string>& names,
                                            const std::string& output) {
  std::vector<InputSpec> inputs;
  coordinator::FinderRules rules;
  if (!output.empty()) rules.own = fs::absolute(output).lexically_normal();
  coordinator::InputFinder finder{std::move(rules), [&inputs](InputSpec input) -> Result<> {
                                    inputs.push_back(std::move(input));
                                    return {};
                                  }};
  for (const std::string& name : names) {
    if (name == "-") {
      inputs.push_back({"-", "stdin"});
    } else if (auto added = finder.add(name); !added) {
      return tl::unexpected{added.error()};
    }
  }
  const bool empty = std::all_of(inputs.begin(), inputs.end(), [](const InputSpec& input) {
    return input.bytes == 0 && input.path != "-";
  });
  if (empty) return bad(names.front(), "expected items, got nothing: every file is empty");
  return inputs;
}

Result<InputFile> kept_standard_input() {
  InputFile file{std::tmpfile(), std::fclose};
  std::string piece(1u << 20, '\0');
  while (file) {
    const std::size_t got = std::fread(piece.data(), 1, piece.size(), stdin);
    if (got == 0 || std::fwrite(piece.data(), 1, got, file.get()) != got) break;
  }
  if (!file || std::ferror(stdin) != 0 || std::fflush(file.get()) != 0)
    return fail(ErrorCode::io, fmt::format("cannot keep standard input in a temporary file ({})",
                                           std::strerror(errno)));
  return file;
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
  spooled.input_ = coordinator::input_as_found(place, "stdin", about);
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
  if (inputs.size() <= coordinator::inputs_in_spec_max) return {std::move(inputs), {}};
  ListedInputs many;
  for (const InputSpec& input : inputs) (many.list += to_json(input)) += '\n';
  many.inputs.push_back(coordinator::listed_input(list_path, inputs.size(), many.list.size(),
                                                  coordinator::digest_of_list(many.list)));
  return many;
}

bool reads_standard_input(const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), "-") != names.end();
}

Result<std::string> default_output(const std::vector<std::string>& names) {
  std::string name = names.front() == "-" ? "stdin" : names.front();
  if (coordinator::is_pattern(name) && !fs::exists(name))
    return fail(ErrorCode::usage, fmt::format("-o: expected a name for the result, because {} is a "
                                              "pattern",
                                              name));
  while (name.size() > 1 && name.ends_with('/')) name.pop_back();
  if (fs::path{name}.filename() == "." || fs::path{name}.filename() == "..") name += "/all";
  return name + ".results.jsonl";
}

} // namespace gristmill::cli
