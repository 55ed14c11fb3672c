#include "cli/cluster/pack.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>

namespace gristmill::cli {
namespace {

// No file begins at 0, where a whole upload does.
constexpr std::string_view head = "gristmill pack\n";

tl::unexpected<Error> bad(const std::string& path, std::string_view what) {
  return fail(ErrorCode::usage, fmt::format("INPUT {}: {}", path, what));
}

tl::unexpected<Error> changed(const InputSpec& file) {
  return bad(file.path, fmt::format("expected the {} bytes that it had a moment ago, got another "
                                    "number: it changed while it was uploaded; try again",
                                    file.bytes));
}

} // namespace

Result<InputFile> open_input(const std::string& path) {
  if (path == "-") return InputFile{stdin, [](std::FILE*) { return 0; }};
  std::error_code error;
  if (std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error))
    return bad(path, "expected a regular file");
  InputFile file{std::fopen(path.c_str(), "rbe"), std::fclose};
  if (!file) return bad(path, fmt::format("expected a readable file ({})", std::strerror(errno)));
  return file;
}

Result<std::size_t> read_input(std::FILE* file, const std::string& path, std::span<char> into) {
  const std::size_t got = std::fread(into.data(), 1, into.size(), file);
  if (std::ferror(file) != 0)
    return fail(ErrorCode::io, fmt::format("INPUT {}: it could not be read to its end ({})", path,
                                           std::strerror(errno)));
  return got;
}

std::uint64_t PackContent::bytes() const {
  std::uint64_t sum = head.size();
  for (const InputSpec& file : files_)
    if (file.path != "-") sum += file.bytes;
  return sum;
}

Result<std::size_t> PackContent::read(std::span<char> into) {
  std::size_t given = std::min(into.size(), head.size() - head_given_);
  std::copy_n(head.data() + head_given_, given, into.data());
  head_given_ += given;
  while (given < into.size()) {
    const auto got = read_files(into.subspan(given));
    GRISTMILL_TRY(got);
    if (*got == 0) break;
    given += *got;
  }
  return given;
}

Result<std::size_t> PackContent::read_files(std::span<char> into) {
  for (;;) {
    if (open_ && left_ > 0) {
      const InputSpec& file = files_[next_ - 1];
      const auto size = std::min<std::uint64_t>(into.size(), left_);
      const auto got = read_input(open_.get(), file.path, into.first(size));
      GRISTMILL_TRY(got);
      if (*got < size) return changed(file);
      left_ -= size;
      if (left_ == 0 && std::fgetc(open_.get()) != EOF) return changed(file);
      return *got;
    }
    open_.reset();
    while (next_ < files_.size() && (files_[next_].path == "-" || files_[next_].bytes == 0))
      ++next_;
    if (next_ == files_.size()) return 0;
    auto file = open_input(files_[next_].path);
    GRISTMILL_TRY(file);
    open_ = std::move(*file);
    left_ = files_[next_++].bytes;
  }
}

PackList::PackList(const std::vector<InputSpec>& files, std::string pack,
                   std::string standard_input)
    : files_{files}, pack_{std::move(pack)},
      standard_input_{std::move(standard_input)}, offset_{head.size()} {}

InputSpec PackList::next() {
  const InputSpec& file = files_[next_++];
  if (file.path == "-") return {standard_input_, file.name};
  InputSpec entry{pack_, file.name};
  entry.bytes = file.bytes;
  entry.offset = offset_;
  offset_ += file.bytes;
  return entry;
}

std::vector<InputSpec> PackList::rest() {
  std::vector<InputSpec> entries;
  while (next_ < files_.size()) entries.push_back(next());
  return entries;
}

Result<std::size_t> PackList::read(std::span<char> into) {
  std::size_t given = 0;
  while (given < into.size()) {
    if (line_.empty()) {
      if (next_ == files_.size()) break;
      line_ = to_json(next()) + "\n";
    }
    const std::size_t size = std::min(into.size() - given, line_.size());
    std::copy_n(line_.data(), size, into.data() + given);
    line_.erase(0, size);
    given += size;
  }
  return given;
}

} // namespace gristmill::cli
