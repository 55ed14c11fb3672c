#include "cli/run/line_printer.hpp"

#include "coordinator/result/part_file.hpp"
#include "protocol/text/json_tree.hpp"

#include <algorithm>
#include <cerrno>
#include <climits>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <poll.h>
#include <sys/stat.h>

namespace gristmill::cli {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr std::size_t read_bytes = 256 * 1024;
// Small enough that a kill hardly ever cuts one in a file.
constexpr std::size_t file_write_bytes = 64 * 1024;
constexpr auto save_every = milliseconds{200};

// As STATE/printed names it.
std::string name_of(const journal::JobLines& durable, std::size_t segment) {
  return fs::path{durable.place_of(segment)}.filename().string();
}

Error write_error() {
  return coordinator::disk_error("write", "standard output");
}

} // namespace

LinePrinter::LinePrinter(std::string path, int descriptor, coordinator::DiskCalls calls)
    : path_{std::move(path)}, descriptor_{descriptor}, calls_{std::move(calls)} {}

Result<LinePrinter> LinePrinter::open(const std::string& state, int descriptor,
                                      coordinator::DiskCalls calls) {
  LinePrinter printer{state + "/printed", descriptor, std::move(calls)};
  struct stat about {};
  printer.regular_ = ::fstat(descriptor, &about) == 0 && S_ISREG(about.st_mode);
  GRISTMILL_TRY(printer.recall());
  if (printer.regular_ && about.st_size > 0) GRISTMILL_TRY(printer.end_torn_line());
  return printer;
}

Result<> LinePrinter::recall() {
  std::error_code error;
  if (!fs::exists(path_, error)) return {};
  const auto file = coordinator::open_file(path_, O_RDONLY | O_NOFOLLOW);
  GRISTMILL_TRY(file);
  std::string text(read_bytes, '\0');
  const auto got = coordinator::read_at(*file, 0, text, path_);
  GRISTMILL_TRY(got);
  text.resize(*got);
  const auto json = json::tree(text).value_or(nullptr);
  try {
    json.at("file").get_to(segment_);
    json.at("bytes").get_to(printed_);
    json.at("lines").get_to(lines_);
  } catch (const nlohmann::json::exception&) {
    return fail(ErrorCode::io, fmt::format("expected {} to say what was printed, got something "
                                           "else: remove it to print every line again",
                                           path_));
  }
  read_ = printed_;
  return {};
}

// What a kill cut in a file that is appended to must not spoil the line that comes next.
Result<> LinePrinter::end_torn_line() {
  const coordinator::FileDescriptor file{
      ::open(fmt::format("/proc/self/fd/{}", descriptor_).c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat about {};
  char last = '\n';
  if (!file || ::fstat(file.get(), &about) != 0 ||
      ::pread(file.get(), &last, 1, about.st_size - 1) != 1 || last == '\n')
    return {};
  if (::write(descriptor_, "\n", 1) != 1) return tl::unexpected{write_error()};
  return {};
}

Result<LinePrinter::Printed> LinePrinter::print(journal::JobLines& durable, milliseconds at_most) {
  const auto until = Clock::now() + at_most;
  for (;;) {
    if (written_ == buffer_.size()) {
      const auto more = refill(durable);
      GRISTMILL_TRY(more);
      if (!*more) break;
    }
    const auto printed = write(until);
    if (!printed || *printed != Printed::all) {
      GRISTMILL_TRY(save());
      return printed;
    }
  }
  if (Clock::now() >= saved_at_ + save_every) GRISTMILL_TRY(save());
  return Printed::all;
}

// The next piece of the segments; false = everything durable was read.
Result<bool> LinePrinter::refill(journal::JobLines& durable) {
  buffer_.clear();
  written_ = 0;
  const auto& segments = durable.segments();
  std::size_t at = 0;
  while (at < segments.size() && name_of(durable, at) != segment_) ++at;
  if (at == segments.size()) {
    if (segments.empty()) return false;
    if (!segment_.empty())
      return fail(ErrorCode::io,
                  fmt::format("{} names {}, which the job does not have: remove it to "
                              "print every line again",
                              path_, segment_));
    at = 0;
    segment_ = name_of(durable, at);
  }
  while (read_ >= segments[at].bytes) {
    if (++at == segments.size()) return false;
    segment_ = name_of(durable, at);
    read_ = printed_ = 0;
  }
  GRISTMILL_TRY(read(durable, at));
  return true;
}

Result<> LinePrinter::read(journal::JobLines& durable, std::size_t segment) {
  buffer_.resize(std::min<std::uint64_t>(read_bytes, durable.segments()[segment].bytes - read_));
  auto got = durable.read(segment, read_, buffer_);
  if (!got) buffer_.clear();
  read_ += buffer_.size();
  return got;
}

// A pipe that is writable takes PIPE_BUF bytes without waiting, so that signals are always heard.
Result<LinePrinter::Printed> LinePrinter::write(Clock::time_point until) {
  while (written_ < buffer_.size()) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
    pollfd writable{descriptor_, POLLOUT, 0};
    if (left < milliseconds{0} || ::poll(&writable, 1, static_cast<int>(left.count())) == 0)
      return Printed::some;
    const std::size_t most = regular_ ? file_write_bytes : PIPE_BUF;
    const std::size_t bytes = std::min(most, buffer_.size() - written_);
    const ssize_t size = ::write(descriptor_, buffer_.data() + written_, bytes);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return Printed::some;
    if (size < 0 && errno == EPIPE) return Printed::closed;
    if (size < 0) return tl::unexpected{write_error()};
    const std::string_view taken{buffer_.data() + written_, static_cast<std::size_t>(size)};
    written_ += taken.size();
    bytes_ += taken.size();
    lines_ += static_cast<std::uint64_t>(std::ranges::count(taken, '\n'));
    if (const auto newline = taken.rfind('\n'); newline != taken.npos) {
      printed_ = read_ - (buffer_.size() - written_) - (taken.size() - newline - 1);
      unsaved_ = true;
    }
  }
  return Printed::all;
}

Result<> LinePrinter::save() {
  if (!unsaved_) return {};
  // A file must not know less than what we say of it, not even after a power cut.
  if (regular_ && calls_.fdatasync(descriptor_) != 0 && errno != EINVAL && errno != EROFS)
    return tl::unexpected{coordinator::disk_error("fdatasync", "standard output")};
  auto file = coordinator::PartFile::create(
      path_, {.readers = coordinator::Readers::owner, .calls = calls_});
  GRISTMILL_TRY(file);
  const nlohmann::ordered_json json{{"file", segment_}, {"bytes", printed_}, {"lines", lines_}};
  GRISTMILL_TRY((*file)->append(
      json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"));
  GRISTMILL_TRY((*file)->finish());
  unsaved_ = false;
  saved_at_ = Clock::now();
  return {};
}

} // namespace gristmill::cli
