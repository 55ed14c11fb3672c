#include "cli/run/standard_stream.hpp"

#include "actors/kit/guarded_thread.hpp"
#include "actors/kit/program/terminal.hpp"

#include <array>
#include <chrono>
#include <filesystem>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace gristmill::cli {
namespace {

constexpr std::size_t piece_bytes = 1u << 20;
constexpr std::chrono::milliseconds full_disk_again_after{1'000};

} // namespace

StandardStream::StandardStream(std::string place, std::uint64_t bytes, std::string rest,
                               coordinator::DiskCalls calls)
    : place_{std::move(place)}, calls_{std::move(calls)}, rest_{std::move(rest)} {
  growth_.bytes = bytes;
}

void StandardStream::stop() {
  if (!thread_.joinable()) return;
  (void)::eventfd_write(stop_.get(), 1);
  thread_.join();
}

bool StandardStream::is_open(const std::string& place) {
  std::error_code error;
  return std::filesystem::exists(mark_of(place), error);
}

Result<> StandardStream::mark_open(const std::string& place) {
  GRISTMILL_TRY(coordinator::open_file(mark_of(place), O_WRONLY | O_CREAT));
  return coordinator::sync_directory(coordinator::directory_of(place));
}

Result<> StandardStream::mark_ended(const std::string& place) {
  std::error_code error;
  std::filesystem::remove(mark_of(place), error);
  if (error)
    return fail(ErrorCode::io, fmt::format("remove {}: {}", mark_of(place), error.message()));
  return coordinator::sync_directory(coordinator::directory_of(place));
}

coordinator::Growth StandardStream::growth() const {
  const std::lock_guard lock{mutex_};
  return growth_;
}

Result<> StandardStream::start(std::function<void()> grew) {
  auto spool = coordinator::open_file(place_, O_WRONLY, 0600, calls_);
  GRISTMILL_TRY(spool);
  spool_ = std::move(*spool);
  stop_ = coordinator::FileDescriptor{::eventfd(0, EFD_CLOEXEC)};
  if (stop_.get() < 0) return tl::unexpected{coordinator::disk_error("eventfd", "an event")};
  grew_ = std::move(grew);
  thread_ = guarded_thread("standard input", [this] { run(); });
  return {};
}

bool StandardStream::wait_for_input(int at_most_ms) const {
  std::array<pollfd, 2> sources{{{STDIN_FILENO, POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
  while (::poll(sources.data(), sources.size(), at_most_ms) < 0)
    if (errno != EINTR) return true; // the read says what is wrong
  return sources[0].revents != 0 && sources[1].revents == 0;
}

// What is there; a pipe holds little, and each piece is synced.
Result<std::size_t> StandardStream::read_piece(std::string& piece) const {
  std::size_t had = 0;
  do {
    const auto got = coordinator::read_some(STDIN_FILENO, {piece.data() + had, piece.size() - had},
                                            "standard input");
    if (!got && had == 0) return got;
    if (!got || *got == 0) break;
    had += *got;
  } while (had < piece.size() && wait_for_input(0));
  return had;
}

void StandardStream::run() {
  if (!keep_when_there_is_room(std::exchange(rest_, {}))) return;
  std::string piece(piece_bytes, '\0');
  while (wait_for_input(-1)) {
    const auto got = read_piece(piece);
    if (!got) return tell(0, false, got.error().message);
    if (*got > 0) {
      if (!keep_when_there_is_room(std::string_view{piece}.substr(0, *got))) return;
      continue;
    }
    if (const auto marked = mark_ended(place_); !marked)
      return tell(0, false, marked.error().message);
    return tell(0, true);
  }
}

Result<> StandardStream::write(std::string_view piece) {
  const std::uint64_t at = growth().bytes;
  GRISTMILL_TRY(coordinator::write_all_at(spool_, at, piece, place_, calls_));
  return coordinator::sync_data(spool_, place_, calls_);
}

// Nobody else would read it meanwhile; whoever writes it waits.
bool StandardStream::keep_when_there_is_room(std::string_view piece) {
  if (piece.empty()) return true;
  for (bool told = false;; told = true) {
    const auto written = write(piece);
    if (written) {
      tell(piece.size(), false);
      return true;
    }
    if (written.error().code != ErrorCode::disk_full) {
      tell(0, false, written.error().message);
      return false;
    }
    if (!told)
      say(fmt::format("standard input waits for space on the disk: {}\n", written.error().message));
    pollfd stop{stop_.get(), POLLIN, 0};
    if (::poll(&stop, 1, static_cast<int>(full_disk_again_after.count())) > 0) return false;
  }
}

void StandardStream::tell(std::uint64_t more, bool ended, std::string failure) {
  {
    const std::lock_guard lock{mutex_};
    growth_.bytes += more;
    growth_.ended = ended;
    growth_.failure = std::move(failure);
  }
  grew_();
}

} // namespace gristmill::cli
