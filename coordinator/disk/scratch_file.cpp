#include "coordinator/disk/scratch_file.hpp"

#include <cstdlib>
#include <fmt/format.h>

namespace gristmill::coordinator {
namespace {

Result<FileDescriptor> nameless_file(const std::string& directory) {
  std::string path = directory + "/scratch-XXXXXX";
  FileDescriptor file{::mkostemp(path.data(), O_CLOEXEC)};
  if (!file) return tl::unexpected{disk_error("create", path)};
  if (::unlink(path.c_str()) != 0) return tl::unexpected{disk_error("unlink", path)};
  return file;
}

std::string scratch_in(const std::string& directory) {
  return "a scratch file in " + directory;
}

} // namespace

Result<> ScratchFile::append(std::span<const std::byte> bytes) {
  if (!file_) {
    auto made = nameless_file(directory_);
    GRISTMILL_TRY(made);
    file_ = std::move(*made);
  }
  GRISTMILL_TRY(room_.take(bytes.size()));
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  GRISTMILL_TRY(write_all_at(file_, bytes_, text, scratch_in(directory_)));
  bytes_ += bytes.size();
  return {};
}

Result<std::size_t> ScratchFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset >= bytes_) return 0;
  return read_at(file_, offset, {reinterpret_cast<char*>(into.data()), into.size()},
                 scratch_in(directory_));
}

Result<> ScratchFile::clear() {
  if (bytes_ == 0) return {};
  bytes_ = 0;
  if (::ftruncate(file_.get(), 0) != 0)
    return tl::unexpected{disk_error("truncate", scratch_in(directory_))};
  return {};
}

Result<std::uint64_t> DiskScratchPages::append(const intake::Page& page) {
  const std::uint64_t number = file_.bytes() / page.size();
  GRISTMILL_TRY(file_.append(page));
  return number;
}

Result<> DiskScratchPages::read(std::uint64_t number, intake::Page& into) {
  const auto got = file_.read(number * into.size(), into);
  GRISTMILL_TRY(got);
  if (*got != into.size())
    return fail(ErrorCode::io,
                fmt::format("expected page {} of a scratch file, got {} bytes", number, *got));
  return {};
}

} // namespace gristmill::coordinator
