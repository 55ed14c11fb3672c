#include "coordinator/inputs/addition.hpp"

#include "coordinator/inputs/digest.hpp"
#include "coordinator/inputs/list.hpp"
#include "protocol/text/json_text.hpp"

#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

Result<std::string> content_digest(const InputSpec& input, const InputRoots& roots) {
  if (!input.digest.empty()) return input.digest;
  const auto opened = roots.open_file(input.path);
  if (!opened)
    return fail(opened.error().code, fmt::format("{}: expected a readable input file: {}",
                                                 input.path, opened.error().message));
  if (input.offset == 0) return digest_of(*opened->file, input.path);
  return digest_of(*opened->file, input.path, input.offset, input.bytes);
}

} // namespace

Result<Addition> addition_of(std::vector<InputSpec> inputs, const InputRoots& roots) {
  Addition addition;
  ListDigest digest;
  for (const InputSpec& input : inputs) {
    const auto content = content_digest(input, roots);
    GRISTMILL_TRY(content);
    // As JSON, so that no name can look like a name and a digest.
    std::string line = "[";
    json::append_string(line, input.name);
    line += ',';
    json::append_string(line, *content);
    digest.add(line + "]\n");
    addition.bytes += input.bytes;
  }
  addition.hash = digest.text();
  addition.inputs = std::move(inputs);
  return addition;
}

} // namespace gristmill::coordinator
