#include "cli/inputs.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <sys/stat.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

InputSpec as_found(std::string path, std::string name) {
  InputSpec input{std::move(path), std::move(name)};
  struct stat about {};
  if (::stat(input.path.c_str(), &about) == 0) {
    input.bytes = static_cast<std::uint64_t>(about.st_size);
    input.modified_ns = static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
                        static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
  }
  return input;
}

// A pipe can be read once; a job reads its input again for every retry and after a crash.
Result<InputSpec> spool_standard_input(const fs::path& state) {
  const fs::path spool = state.string() + ".stdin";
  std::error_code ignored;
  if (fs::exists(spool, ignored)) return as_found(fs::absolute(spool), "stdin");
  const fs::path part = spool.string() + ".part";
  {
    std::ofstream file{part, std::ios::binary};
    file << std::cin.rdbuf();
    // An empty input sets the fail bit of the stream that copied nothing.
    if (std::cin.bad() || !fs::exists(part))
      return fail(ErrorCode::io, fmt::format("cannot spool standard input to {}", part.string()));
  }
  fs::rename(part, spool);
  return as_found(fs::absolute(spool), "stdin");
}

} // namespace

Result<std::vector<InputSpec>> local_inputs(const std::vector<std::string>& names,
                                            const std::string& state) {
  std::vector<InputSpec> inputs;
  for (const std::string& name : names) {
    if (name == "-") {
      auto spooled = spool_standard_input(state);
      if (!spooled) return tl::unexpected{spooled.error()};
      inputs.push_back(std::move(*spooled));
    } else if (!fs::is_regular_file(name)) {
      return fail(ErrorCode::usage,
                  fmt::format("INPUT {}: expected a readable file, {}", name,
                              fs::exists(name) ? "it is not a regular file" : "there is none"));
    } else {
      inputs.push_back(as_found(fs::absolute(name), name));
    }
  }
  return inputs;
}

bool reads_standard_input(const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), "-") != names.end();
}

std::string default_output(const std::vector<std::string>& names) {
  return (names.front() == "-" ? std::string{"stdin"} : names.front()) + ".results.jsonl";
}

} // namespace gristmill::cli
