#include "cli/inputs.hpp"

#include "cli/earlier_run.hpp"
#include "coordinator/input_finder.hpp"
#include "coordinator/input_list.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", name, what));
}

std::string place_of(const std::string& state) {
  return fs::absolute(state + ".stdin").string();
}

// To its end; an input that cannot be read is no end of it.
template <class Take> Result<> copy_standard_input(const Take& take) {
  std::string piece(1u << 20, '\0');
  for (;;) {
    const auto got = coordinator::read_some(STDIN_FILENO, piece, "standard input");
    if (!got) return tl::unexpected{got.error()};
    if (*got == 0) return {};
    if (auto taken = take(std::string_view{piece}.substr(0, *got)); !taken) return taken;
  }
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
  constexpr const char* name = "a temporary file for standard input";
  InputFile file{std::tmpfile(), std::fclose};
  if (!file) return tl::unexpected{coordinator::disk_error("create", name)};
  const coordinator::FileDescriptor kept{::fcntl(::fileno(file.get()), F_DUPFD_CLOEXEC, 0)};
  auto copied = copy_standard_input(
      [&](std::string_view piece) { return coordinator::write_all(kept, piece, name); });
  if (copied) copied = coordinator::sync_data(kept, name);
  if (!copied) return tl::unexpected{copied.error()};
  std::rewind(file.get());
  return file;
}

Result<StandardInput> StandardInput::spool(const std::string& state, bool anew,
                                           coordinator::DiskCalls calls) {
  StandardInput spooled;
  const std::string place = spooled.input_.path = place_of(state);
  struct stat about {};
  if (anew || ::stat(place.c_str(), &about) != 0) {
    auto part = coordinator::PartFile::create(
        place, {.readers = coordinator::Readers::owner, .calls = std::move(calls)});
    if (!part) return tl::unexpected{part.error()};
    spooled.part_ = std::move(*part);
    auto copied =
        copy_standard_input([&](std::string_view piece) { return spooled.part_->append(piece); });
    if (copied) copied = spooled.part_->complete();
    if (!copied) return tl::unexpected{copied.error()};
  }
  const std::string now = spooled.readable_path();
  if (::stat(now.c_str(), &about) != 0) return tl::unexpected{coordinator::disk_error("stat", now)};
  if (about.st_size == 0) return bad("-", "expected items, got nothing: standard input is empty");
  spooled.input_ = coordinator::input_as_found(place, "stdin", about);
  return spooled;
}

Result<std::optional<InputSpec>> StandardInput::recalled(const std::string& state) {
  const std::string place = place_of(state);
  std::error_code error;
  if (fs::exists(place, error)) return std::nullopt;
  const auto spec = recorded_spec(state);
  if (!spec) return tl::unexpected{spec.error()};
  if (!*spec) return std::nullopt;
  auto inputs = coordinator::InputList::open((*spec)->inputs);
  if (!inputs) return tl::unexpected{inputs.error()};
  for (std::uint32_t n = 0; n < inputs->count(); ++n) {
    const auto input = inputs->at(n);
    if (!input) return tl::unexpected{input.error()};
    if ((*input)->path == place) return **input;
  }
  return std::nullopt;
}

Result<> StandardInput::keep() {
  if (!part_) return {};
  if (auto finished = part_->finish(); !finished) return finished;
  part_.reset();
  return {};
}

void StandardInput::remove() {
  std::error_code ignored; // whoever finds it later loses nothing
  fs::remove(input_.path, ignored);
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
