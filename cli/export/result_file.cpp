#include "cli/export/result_file.hpp"

#include "actors/kit/check.hpp"
#include "coordinator/disk/file_io.hpp"
#include "coordinator/result/product_files.hpp"

#include <algorithm>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::cli::flat {
namespace {

constexpr std::size_t head_bytes = 4096;

tl::unexpected<Error> no_result(const std::string& name, const std::string& got) {
  return fail(ErrorCode::usage, fmt::format("OUT: expected a result, lines as `gristmill run` "
                                            "writes them, got {}, {}",
                                            name, got));
}

// Whose job is not over has no result yet, but a state.
tl::unexpected<Error> cannot_open(const std::string& path, const Error& error) {
  std::error_code ignored;
  if (!std::filesystem::exists(path + ".state", ignored) || std::filesystem::exists(path, ignored))
    return fail(ErrorCode::usage,
                fmt::format("OUT: expected a result that can be read: {}", error.message));
  return fail(ErrorCode::usage,
              fmt::format("OUT: expected a result, {} is not there yet: its job, whose state is in "
                          "{}.state, has to come to its end first",
                          path, path));
}

} // namespace

Result<std::unique_ptr<ResultFile>> ResultFile::open(const std::string& path) {
  auto file = path == "-" ? Result<coordinator::FileDescriptor>{coordinator::FileDescriptor{
                                ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)}}
                          : coordinator::open_file(path, O_RDONLY);
  if (!file) return cannot_open(path, file.error());
  struct stat about {};
  if (::fstat(file->get(), &about) == 0 && S_ISDIR(about.st_mode))
    return no_result(path, "which is a directory: name the file that -o named");
  std::unique_ptr<ResultFile> opened{new ResultFile{path, std::move(*file)}};
  GRISTMILL_TRY(opened->look_at_head(path));
  return opened;
}

ResultFile::ResultFile(const std::string& path, coordinator::FileDescriptor file)
    : name_{path == "-" ? "standard input" : path}, file_{std::move(file)} {}

Result<> ResultFile::look_at_head(const std::string& path) {
  head_.resize(head_bytes);
  std::size_t filled = 0;
  for (std::size_t got = 1; got > 0 && filled < head_.size(); filled += got) {
    const auto read = coordinator::read_some(file_.get(), std::span{head_}.subspan(filled), name_);
    GRISTMILL_TRY(read);
    got = *read;
  }
  head_.resize(filled);
  if (head_.starts_with("\x93NUMPY"))
    return no_result(name_, "a NumPy array: load it with numpy.load, its rows' names are in "
                            "NAME.ids.jsonl; or give the run's command again with -o NAME.jsonl "
                            "and the same --state, which writes the lines without a call");
  if (coordinator::begins_as_row_names(head_))
    return no_result(name_, "the names of an array's rows");
  if (coordinator::begins_as_summary(head_))
    return no_result(name_, "the summary of one: name the result beside it");
  const auto packing = coordinator::packing_of(path, head_);
  if (!packing) return no_result(name_, "which is damaged: " + packing.error().message);
  if (*packing != coordinator::Packing::none)
    unpacker_ = coordinator::Unpacker::open(*packing,
                                            [this](std::span<char> into) { return packed(into); });
  return {};
}

Result<std::size_t> ResultFile::packed(std::span<char> into) {
  if (head_.empty()) return coordinator::read_some(file_.get(), into, name_);
  const std::size_t bytes = std::min(into.size(), head_.size());
  std::copy_n(head_.begin(), bytes, into.begin());
  head_.erase(0, bytes);
  return bytes;
}

Result<std::size_t> ResultFile::read(std::uint32_t, std::uint64_t offset, std::span<char> into) {
  GRISTMILL_CHECK(offset == given_, "a result is read once, from its beginning to its end");
  auto got = unpacker_ ? unpacker_->next(into) : packed(into);
  if (got) given_ += *got;
  if (!got && unpacker_) got.error().message = fmt::format("{}: {}", name_, got.error().message);
  return got;
}

} // namespace gristmill::cli::flat
