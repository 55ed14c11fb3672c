#include "cli/inputs.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/run/earlier_run.hpp"
#include "coordinator/disk/file_reader.hpp"
#include "coordinator/inputs/finder.hpp"
#include "coordinator/inputs/list.hpp"

#include <algorithm>
#include <filesystem>
#include <fmt/format.h>
#include <map>
#include <poll.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> bad(const std::string& name, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", name, what));
}

std::string place_of(const std::string& state) {
  return fs::absolute(state + ".stdin").string();
}

// What would wait for somebody's keys, or is not there, says nothing of an input.
// Whoever waits long for a pipe that nobody writes to is told for what.
bool has_standard_input() {
  constexpr int silent_ms = 2'000;
  if (::fcntl(STDIN_FILENO, F_GETFD) < 0 || ::isatty(STDIN_FILENO) != 0) return false;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (::poll(&input, 1, silent_ms) == 0)
    say("waiting for standard input, to see whether it is what the earlier run began with; "
        "</dev/null goes on without it\n");
  return true;
}

tl::unexpected<Error> other_standard_input(std::string_view got) {
  return fail(
      ErrorCode::usage,
      fmt::format("INPUT -: expected the standard input that the earlier run began with, or "
                  "none (</dev/null) to go on with it, got {}: give --restart to begin "
                  "anew with this one, or another -o or --state to keep both",
                  got));
}

// To its end; an input that cannot be read is no end of it.
template <class Take> Result<> copy_standard_input(const Take& take) {
  std::string piece(1u << 20, '\0');
  for (;;) {
    const auto got = coordinator::read_some(STDIN_FILENO, piece, "standard input");
    GRISTMILL_TRY(got);
    if (*got == 0) return {};
    GRISTMILL_TRY(take(std::string_view{piece}.substr(0, *got)));
  }
}

// To the first byte that differs.
Result<> same_as_spool(const std::string& place) {
  if (!has_standard_input()) return {};
  const auto spool = coordinator::open_file(place, O_RDONLY);
  GRISTMILL_TRY(spool);
  std::uint64_t came = 0;
  std::string kept;
  auto same = copy_standard_input([&](std::string_view piece) -> Result<> {
    kept.resize(piece.size());
    const auto got = coordinator::read_at(*spool, came, kept, place);
    GRISTMILL_TRY(got);
    if (std::string_view{kept}.substr(0, *got) != piece)
      return other_standard_input("another content");
    came += piece.size();
    return {};
  });
  if (!same || came == 0) return same;
  const auto more = coordinator::read_at(*spool, came, kept, place);
  GRISTMILL_TRY(more);
  return *more == 0 ? same : other_standard_input(fmt::format("{} bytes, its beginning", came));
}

// The spool is gone: by its size, and by its digest if it was not too large for one.
Result<> same_as_recorded(const InputSpec& recorded) {
  if (!has_standard_input()) return {};
  std::uint64_t came = 0;
  coordinator::ListDigest digest;
  auto same = copy_standard_input([&](std::string_view piece) -> Result<> {
    came += piece.size();
    digest.add(piece);
    if (came > recorded.bytes)
      return other_standard_input(fmt::format("more than its {} bytes", recorded.bytes));
    return {};
  });
  if (!same || came == 0) return same;
  const bool differs = !recorded.digest.empty() && digest.text() != recorded.digest;
  if (came == recorded.bytes && !differs) return {};
  return other_standard_input("another content");
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

Result<InputFile> kept_standard_input() {
  constexpr const char* name = "a temporary file for standard input";
  InputFile file{std::tmpfile(), std::fclose};
  if (!file) return tl::unexpected{coordinator::disk_error("create", name)};
  const coordinator::FileDescriptor kept{::fcntl(::fileno(file.get()), F_DUPFD_CLOEXEC, 0)};
  auto copied = copy_standard_input(
      [&](std::string_view piece) { return coordinator::write_all(kept, piece, name); });
  if (copied) copied = coordinator::sync_data(kept, name);
  GRISTMILL_TRY(copied);
  std::rewind(file.get());
  return file;
}

Result<StandardInput> StandardInput::spool(const std::string& state, bool anew,
                                           coordinator::DiskCalls calls) {
  StandardInput spooled;
  const std::string place = spooled.input_.path = place_of(state);
  struct stat about {};
  const bool is_there = !anew && ::stat(place.c_str(), &about) == 0;
  if (is_there) GRISTMILL_TRY(same_as_spool(place));
  if (!is_there) {
    auto part = coordinator::PartFile::create(
        place, {.readers = coordinator::Readers::owner, .calls = std::move(calls)});
    GRISTMILL_TRY(part);
    spooled.part_ = std::move(*part);
    auto copied =
        copy_standard_input([&](std::string_view piece) { return spooled.part_->append(piece); });
    if (copied) copied = spooled.part_->complete();
    GRISTMILL_TRY(copied);
  }
  const std::string now = spooled.readable_path();
  if (::stat(now.c_str(), &about) != 0) return tl::unexpected{coordinator::disk_error("stat", now)};
  if (about.st_size == 0) return bad("-", "expected items, got nothing: standard input is empty");
  spooled.input_ = coordinator::input_as_found(place, "stdin", coordinator::state_of(about));
  return spooled;
}

Result<> StandardInput::refuse_other(const std::string& state) {
  return same_as_spool(place_of(state));
}

Result<std::optional<InputSpec>> StandardInput::recalled(const std::string& state) {
  const std::string place = place_of(state);
  std::error_code error;
  if (fs::exists(place, error)) return std::nullopt;
  const auto spec = recorded_spec(state);
  GRISTMILL_TRY(spec);
  if (!*spec) return std::nullopt;
  auto inputs = coordinator::InputList::open((*spec)->inputs);
  GRISTMILL_TRY(inputs);
  for (std::uint32_t n = 0; n < inputs->count(); ++n) {
    const auto input = inputs->at(n);
    GRISTMILL_TRY(input);
    if ((*input)->path != place) continue;
    GRISTMILL_TRY(same_as_recorded(**input));
    return **input;
  }
  return std::nullopt;
}

Result<> StandardInput::keep() {
  if (!part_) return {};
  GRISTMILL_TRY(part_->finish());
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
