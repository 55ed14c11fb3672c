#include "cli/inputs.hpp"

#include "actors/kit/program/terminal.hpp"
#include "coordinator/inputs/finder.hpp"
#include "coordinator/inputs/list.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <string_view>
#include <sys/stat.h>
#include <utility>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", name, what));
}

} // namespace

void LeftOut::add(const std::string& name) {
  if (count_++ == 0) first_ = name;
}

void LeftOut::add_named_before(const std::string& name) {
  if (named_before_++ == 0) first_named_before_ = name;
}

void LeftOut::tell() const {
  if (named_before_ > 0)
    say(fmt::format("left out of the input: {}{}, which an INPUT before names already; nothing is "
                    "called for twice\n",
                    first_named_before_,
                    named_before_ > 1 ? fmt::format(" and {} more", named_before_ - 1) : ""));
  if (count_ == 0) return;
  say(fmt::format("left out of the input: {}{}, which jobs have left there (results, summaries, "
                  "states); name such a file itself to have it as an input\n",
                  first_, count_ > 1 ? fmt::format(" and {} more", count_ - 1) : ""));
}

namespace {

// Which files the arguments before have named. Of one argument all are documents of their own, hard
// links too.
class NamedBefore {
public:
  explicit NamedBefore(std::size_t arguments) : arguments_{arguments} {}
  void next_argument() { ++argument_; }
  bool knows(const std::string& path) {
    struct stat about {};
    if (path == "-") return std::exchange(standard_input_, true);
    if (arguments_ < 2 || ::stat(path.c_str(), &about) != 0) return false;
    const auto added = first_.emplace(std::pair{about.st_dev, about.st_ino}, argument_);
    return added.first->second != argument_;
  }

private:
  const std::size_t arguments_;
  std::size_t argument_ = 0;
  std::map<std::pair<dev_t, ino_t>, std::size_t> first_; // by which argument
  bool standard_input_ = false;
};

} // namespace

Result<std::vector<InputSpec>> found_inputs(const std::vector<std::string>& names,
                                            const std::string& output, LeftOut* left_out) {
  std::vector<InputSpec> inputs;
  coordinator::FinderRules rules;
  if (!output.empty()) rules.own = fs::absolute(output).lexically_normal();
  if (left_out != nullptr)
    rules.left_out = [left_out](const std::string& name) { left_out->add(name); };
  NamedBefore before{names.size()};
  const auto take = [&](InputSpec input) -> Result<> {
    if (!before.knows(input.path)) {
      inputs.push_back(std::move(input));
    } else if (left_out != nullptr) {
      left_out->add_named_before(input.name);
    }
    return {};
  };
  coordinator::InputFinder finder{std::move(rules), take};
  for (const std::string& name : names) {
    before.next_argument();
    if (name == "-") {
      (void)take({"-", "stdin"});
    } else
      GRISTMILL_TRY(finder.add(name));
  }
  const bool empty = std::all_of(inputs.begin(), inputs.end(), [](const InputSpec& input) {
    return input.bytes == 0 && input.path != "-";
  });
  if (empty) return bad(names.front(), "expected items, got nothing: every file is empty");
  return inputs;
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
