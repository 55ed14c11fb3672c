#include "coordinator/file_source.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t open_files_max = 16, unpack_bytes = 256 * 1024;

Error input_error(const std::string& path, std::string_view what) {
  return {ErrorCode::bad_input, fmt::format("{}: expected a readable input file: {}", path, what)};
}

Result<> check(const InputSpec& input) {
  struct stat about {};
  if (::stat(input.path.c_str(), &about) != 0)
    return tl::unexpected{input_error(input.path, std::strerror(errno))};
  if (!S_ISREG(about.st_mode)) return tl::unexpected{input_error(input.path, "it is not a file")};
  const auto size = static_cast<std::uint64_t>(about.st_size);
  if (input.offset > 0 && (input.offset > size || input.bytes > size - input.offset))
    return fail(ErrorCode::bad_input,
                fmt::format("{}: expected {} at bytes {} to {} of it, got {} bytes in all",
                            input.path, input.name, input.offset, input.offset + input.bytes,
                            size));
  const auto modified_ns = static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
                           static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
  const bool looked_at = input.modified_ns != 0 && input.offset == 0;
  if (looked_at && (size != input.bytes || modified_ns != input.modified_ns))
    return fail(
        ErrorCode::bad_input,
        fmt::format("{}: expected the {} bytes that the job began with, got {} bytes modified "
                    "since; put the old file back to go on, or begin anew",
                    input.path, input.bytes, about.st_size));
  if (::access(input.path.c_str(), R_OK) != 0)
    return tl::unexpected{input_error(input.path, std::strerror(errno))};
  return {};
}

Result<std::size_t> read_file(int file, const std::string& path, std::uint64_t offset,
                              std::span<char> into) {
  for (;;) {
    const ssize_t got = ::pread(file, into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return tl::unexpected{input_error(path, std::strerror(errno))};
  }
}

} // namespace

Result<std::unique_ptr<intake::ByteSource>> FileSource::open(const std::vector<InputSpec>& inputs,
                                                             std::string scratch_directory) {
  auto list = InputList::open(inputs);
  if (!list) return tl::unexpected{list.error()};
  if (!list->is_listed())
    for (const InputSpec& input : inputs)
      if (auto good = check(input); !good) return tl::unexpected{good.error()};
  return std::unique_ptr<intake::ByteSource>{
      new FileSource{std::move(*list), std::move(scratch_directory)}};
}

Result<std::string> FileSource::name_of(std::uint32_t input) {
  const auto found = inputs_.at(input);
  if (!found) return tl::unexpected{found.error()};
  return (*found)->name;
}

std::unique_ptr<intake::ScratchPages> FileSource::scratch() {
  return std::make_unique<DiskScratchPages>(scratch_directory_);
}

Result<FileSource::Open*> FileSource::opened(std::uint32_t input) {
  const auto known =
      std::find_if(open_.begin(), open_.end(), [&](const Open& o) { return o.input == input; });
  if (known != open_.end()) {
    open_.splice(open_.begin(), open_, known);
    return &open_.front();
  }
  const auto found = inputs_.at(input);
  if (!found) return tl::unexpected{found.error()};
  if (auto good = check(**found); !good) return tl::unexpected{good.error()};
  Open open;
  open.input = input;
  open.path = (*found)->path;
  open.file = FileDescriptor{::open(open.path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!open.file) return tl::unexpected{input_error(open.path, std::strerror(errno))};
  if ((*found)->offset > 0) {
    open.from = (*found)->offset;
    open.bytes = (*found)->bytes;
  }
  if (auto found_packing = find_packing(open, (*found)->name); !found_packing)
    return tl::unexpected{found_packing.error()};
  if (open_.size() >= open_files_max) open_.pop_back();
  open_.push_front(std::move(open));
  return &open_.front();
}

Result<std::size_t> FileSource::read_input(const Open& open, std::uint64_t offset,
                                           std::span<char> into) {
  if (offset >= open.bytes) return 0;
  const auto size = std::min<std::uint64_t>(into.size(), open.bytes - offset);
  return read_file(open.file.get(), open.path, open.from + offset, into.first(size));
}

Result<> FileSource::find_packing(Open& open, std::string_view name) {
  std::array<char, 16> head{};
  const auto got = read_input(open, 0, head);
  if (!got) return tl::unexpected{got.error()};
  const auto packing = packing_of(name, {head.data(), *got});
  if (!packing)
    return fail(ErrorCode::bad_input, fmt::format("{}: {}", open.path, packing.error().message));
  if (*packing == Packing::none) return {};
  open.unpacked = std::make_unique<ScratchFile>(scratch_directory_);
  // Not by way of the entry, which moves.
  open.unpacker =
      Unpacker::open(*packing,
                     [file = open.file.get(), path = open.path, from = open.from,
                      left = open.bytes](std::span<char> into) mutable -> Result<std::size_t> {
                       const auto size = std::min<std::uint64_t>(into.size(), left);
                       auto read = read_file(file, path, from, into.first(size));
                       if (read) {
                         from += *read;
                         left -= *read;
                       }
                       return read;
                     });
  return {};
}

Result<> FileSource::unpack_to(Open& open, std::uint64_t end) {
  std::vector<char> bytes;
  while (open.unpacker && open.unpacked->bytes() < end) {
    bytes.resize(unpack_bytes);
    const auto got = open.unpacker->next(bytes);
    if (!got) return fail(got.error().code, fmt::format("{}: {}", open.path, got.error().message));
    if (*got == 0) {
      open.unpacker.reset();
      return {};
    }
    if (auto kept = open.unpacked->append(std::as_bytes(std::span{bytes.data(), *got})); !kept)
      return kept;
  }
  return {};
}

Result<std::size_t> FileSource::read(std::uint32_t input, std::uint64_t offset,
                                     std::span<char> into) {
  const auto open = opened(input);
  if (!open) return tl::unexpected{open.error()};
  if (!(*open)->unpacked) return read_input(**open, offset, into);
  if (auto unpacked = unpack_to(**open, offset + into.size()); !unpacked)
    return tl::unexpected{unpacked.error()};
  return (*open)->unpacked->read(offset, std::as_writable_bytes(into));
}

} // namespace gristmill::coordinator
