#include "cli/run/standard_input.hpp"

#include "actors/kit/program/terminal.hpp"
#include "cli/run/earlier_run.hpp"
#include "cli/run/standard_stream.hpp"
#include "cli/text_file.hpp"
#include "coordinator/disk/file_reader.hpp"
#include "coordinator/inputs/digest.hpp"
#include "coordinator/inputs/finder.hpp"
#include "coordinator/inputs/list.hpp"
#include "coordinator/inputs/unpacker.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;

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

tl::unexpected<Error> other_standard_input(std::string_view got, bool was_open = false) {
  return fail(
      ErrorCode::usage,
      fmt::format("INPUT -: expected the standard input that the earlier run began with, or "
                  "none (</dev/null) to go on with it, got {}: give --restart to begin "
                  "anew with this one, {}or another -o or --state to keep both",
                  got, was_open ? "--continue if it goes on behind that, " : ""));
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

// What came of standard input beside a spool.
struct Compared {
  std::uint64_t bytes = 0; // that are the same
  std::string rest;        // what came behind the spool's end; then no more was read
};

constexpr std::chrono::milliseconds moment{200};

// Whether something of it, or its end, comes within the time.
bool comes_within(std::chrono::milliseconds time) {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, static_cast<int>(time.count())) != 0;
}

// To the first byte that differs, or to the end of either. `may_go_on`: at the spool's end nobody
// waits for more than a moment.
Result<Compared> compared_with_spool(const std::string& place, bool may_go_on = false) {
  Compared compared;
  if (!has_standard_input()) return compared;
  const auto spool = coordinator::open_file(place, O_RDONLY);
  GRISTMILL_TRY(spool);
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(place, error);
  std::string piece(1u << 20, '\0'), kept(piece.size(), '\0');
  while (compared.rest.empty()) {
    if (may_go_on && compared.bytes > 0 && compared.bytes == bytes && !comes_within(moment)) break;
    const auto came = coordinator::read_some(STDIN_FILENO, piece, "standard input");
    GRISTMILL_TRY(came);
    if (*came == 0) break;
    const auto had = coordinator::read_at(*spool, compared.bytes, {kept.data(), *came}, place);
    GRISTMILL_TRY(had);
    const std::string_view now = std::string_view{piece}.substr(0, *came);
    if (now.substr(0, *had) != std::string_view{kept}.substr(0, *had))
      return other_standard_input("another content", StandardStream::is_open(place));
    compared.bytes += *had;
    compared.rest = now.substr(*had);
  }
  return compared;
}

// To the end of standard input.
Result<> same_as_spool(const std::string& place) {
  const auto compared = compared_with_spool(place);
  GRISTMILL_TRY(compared);
  if (!compared->rest.empty()) return other_standard_input("another content");
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(place, error);
  if (compared->bytes == 0 || compared->bytes == bytes) return {};
  return other_standard_input(fmt::format("{} bytes, its beginning", compared->bytes));
}

// Whether a line that is not blank has ended, as pieces of the text come.
class FirstLine {
public:
  bool has_ended(std::string_view piece) {
    if (!begun_) {
      const std::size_t begin = piece.find_first_not_of(" \t\r\n");
      if (begin == piece.npos) return false;
      begun_ = true;
      piece.remove_prefix(begin);
    }
    return ended_ = ended_ || piece.find('\n') != piece.npos;
  }

private:
  bool begun_ = false, ended_ = false;
};

// Standard input from its beginning on. True: it goes on, though a line is there and a moment has
// passed. What is compressed is of no use without its end.
template <class Take> Result<bool> copy_beginning(const Take& take) {
  using Clock = std::chrono::steady_clock;
  constexpr std::size_t head_bytes = 64; // tell what is compressed
  std::string piece(1u << 20, '\0'), head;
  FirstLine line;
  std::optional<Clock::time_point> until;
  for (;;) {
    if (until) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*until - Clock::now());
      if (left.count() <= 0 || !comes_within(left)) return true;
    }
    const auto got = coordinator::read_some(STDIN_FILENO, piece, "standard input");
    GRISTMILL_TRY(got);
    if (*got == 0) return false;
    const std::string_view came = std::string_view{piece}.substr(0, *got);
    GRISTMILL_TRY(take(came));
    if (until) continue;
    head += came.substr(0, head_bytes - std::min(head_bytes, head.size()));
    const auto packing = coordinator::packing_of("stdin", head);
    const bool is_plain = packing && *packing == coordinator::Packing::none;
    if (line.has_ended(came) && is_plain) until = Clock::now() + moment;
  }
}

// Bytes of a spool up to the end of its last line.
Result<std::uint64_t> whole_lines(const std::string& place) {
  const auto spool = coordinator::open_file(place, O_RDONLY);
  GRISTMILL_TRY(spool);
  std::error_code error;
  std::uint64_t end = fs::file_size(place, error);
  std::string piece(64 * 1024, '\0');
  while (end > 0) {
    const std::uint64_t from = end - std::min<std::uint64_t>(end, piece.size());
    const auto got = coordinator::read_at(*spool, from, {piece.data(), end - from}, place);
    GRISTMILL_TRY(got);
    const std::size_t newline = std::string_view{piece}.substr(0, *got).rfind('\n');
    if (newline != std::string::npos) return from + newline + 1;
    end = from;
  }
  return 0;
}

std::string note_of(const std::string& state) {
  return fs::path{state} / "stdin.json";
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

Result<> StandardInput::refuse_end(const std::string& state) {
  if (StandardStream::is_open(place_of(state))) return {};
  return fail(ErrorCode::usage,
              "--continue: expected a job whose standard input had not come to its end, got none: "
              "leave it out, or begin another job with another -o");
}

Result<StandardInput> StandardInput::spool(const std::string& state, Wanted wanted,
                                           coordinator::DiskCalls calls) {
  StandardInput spooled;
  const std::string place = spooled.input_.path = place_of(state);
  struct stat about {};
  const bool is_there = !wanted.anew && ::stat(place.c_str(), &about) == 0;
  const bool was_open = is_there && StandardStream::is_open(place);
  if (was_open)
    GRISTMILL_TRY(spooled.begin_again(wanted.continues));
  else if (is_there)
    GRISTMILL_TRY(same_as_spool(place));
  else
    GRISTMILL_TRY(spooled.begin(wanted.end, std::move(calls)));
  const std::string now = spooled.readable_path();
  if (::stat(now.c_str(), &about) != 0) return tl::unexpected{coordinator::disk_error("stat", now)};
  spooled.bytes_ = spooled.whole_bytes_.value_or(static_cast<std::uint64_t>(about.st_size));
  if (spooled.bytes_ == 0 && spooled.rest_.empty())
    return fail(ErrorCode::usage, "INPUT -: expected items, got nothing: standard input is empty");
  spooled.input_ = coordinator::input_as_found(place, "stdin", coordinator::state_of(about));
  if (!spooled.goes_on_ && !spooled.is_cut_) return spooled;
  spooled.input_.grows = true;
  spooled.input_.bytes = spooled.input_.modified_ns = 0;
  return spooled;
}

Result<> StandardInput::begin(End end, coordinator::DiskCalls calls) {
  auto part = coordinator::PartFile::create(
      input_.path, {.readers = coordinator::Readers::owner, .calls = std::move(calls)});
  GRISTMILL_TRY(part);
  part_ = std::move(*part);
  const auto take = [&](std::string_view piece) { return part_->append(piece); };
  if (end == End::awaited) {
    GRISTMILL_TRY(copy_standard_input(take));
  } else {
    const auto goes_on = copy_beginning(take);
    GRISTMILL_TRY(goes_on);
    goes_on_ = *goes_on;
  }
  return part_->complete();
}

// What an earlier run was given first, and then what is behind that.
Result<> StandardInput::begin_again(bool continues) {
  const std::string place = input_.path;
  const auto whole = whole_lines(place);
  GRISTMILL_TRY(whole);
  std::error_code error;
  const std::uint64_t bytes = fs::file_size(place, error);
  if (continues) {
    // What comes is no part of a line that was cut, and that one was not called.
    goes_on_ = true;
    whole_bytes_ = *whole;
    if (*whole < bytes)
      say("a line of standard input was cut by the end of the earlier run: it is left out\n");
    return {};
  }
  auto compared = compared_with_spool(place, true);
  GRISTMILL_TRY(compared);
  is_cut_ = compared->bytes == 0 && compared->rest.empty();
  if (is_cut_) {
    whole_bytes_ = *whole;
    say(fmt::format("standard input had not come to its end: the job ends with the {} bytes of it "
                    "that came{}\n",
                    *whole, *whole < bytes ? ", without the line that was cut" : ""));
    return {};
  }
  if (compared->bytes < bytes)
    return other_standard_input(fmt::format("{} bytes, its beginning", compared->bytes), true);
  goes_on_ = true;
  rest_ = std::move(compared->rest);
  return {};
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
    if ((*input)->grows) {
      if (!fs::exists(note_of(state), error)) return **input; // nobody can compare
      const auto text = text_of_file("standard input", note_of(state));
      GRISTMILL_TRY(text);
      const auto was = input_spec_from_json(*text);
      GRISTMILL_TRY(was);
      GRISTMILL_TRY(same_as_recorded(*was));
      return **input;
    }
    GRISTMILL_TRY(same_as_recorded(**input));
    return **input;
  }
  return std::nullopt;
}

Result<> StandardInput::keep() {
  if (!part_) return {};
  if (goes_on_)
    GRISTMILL_TRY(StandardStream::mark_open(input_.path));
  else
    GRISTMILL_TRY(StandardStream::mark_ended(input_.path));
  GRISTMILL_TRY(part_->finish());
  part_.reset();
  return {};
}

// A kill may have left bytes in the spool that no disk has.
Result<> StandardInput::settle() {
  if (!input_.grows) return {};
  if (whole_bytes_) {
    std::error_code error;
    fs::resize_file(input_.path, *whole_bytes_, error);
    if (error) return fail(ErrorCode::io, fmt::format("cut {}: {}", input_.path, error.message()));
  }
  const auto spool = coordinator::open_file(input_.path, O_WRONLY);
  GRISTMILL_TRY(spool);
  GRISTMILL_TRY(coordinator::sync_data(*spool, input_.path));
  return goes_on_ ? Result<>{} : StandardStream::mark_ended(input_.path);
}

Result<> StandardInput::remember(const std::string& state) {
  const std::string place = place_of(state);
  struct stat about {};
  if (::stat(place.c_str(), &about) != 0)
    return tl::unexpected{coordinator::disk_error("stat", place)};
  InputSpec was = coordinator::input_as_found(place, "stdin", coordinator::state_of(about));
  coordinator::InputDigests digests{std::uint64_t{8} << 30};
  GRISTMILL_TRY(digests.take(was));
  auto note =
      coordinator::PartFile::create(note_of(state), {.readers = coordinator::Readers::owner});
  GRISTMILL_TRY(note);
  GRISTMILL_TRY((*note)->append(to_json(was)));
  return (*note)->finish();
}

void StandardInput::remove() {
  std::error_code ignored; // whoever finds it later loses nothing
  fs::remove(input_.path, ignored);
}

} // namespace gristmill::cli
