#include "coordinator/file_source.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t open_files_max = 16;

Error input_error(const InputSpec& input, std::string_view what) {
  return {ErrorCode::bad_input,
          fmt::format("{}: expected a readable input file: {}", input.path, what)};
}

} // namespace

Result<std::unique_ptr<intake::ByteSource>> FileSource::open(const std::vector<InputSpec>& inputs) {
  for (const InputSpec& input : inputs) {
    struct stat about {};
    if (::stat(input.path.c_str(), &about) != 0)
      return tl::unexpected{input_error(input, std::strerror(errno))};
    if (!S_ISREG(about.st_mode)) return tl::unexpected{input_error(input, "it is not a file")};
    const auto modified_ns = static_cast<std::uint64_t>(about.st_mtim.tv_sec) * 1'000'000'000 +
                             static_cast<std::uint64_t>(about.st_mtim.tv_nsec);
    const bool looked_at = input.modified_ns != 0;
    if (looked_at && (static_cast<std::uint64_t>(about.st_size) != input.bytes ||
                      modified_ns != input.modified_ns))
      return tl::unexpected{Error{
          ErrorCode::bad_input,
          fmt::format("{}: expected the {} bytes that the job began with, got {} bytes modified "
                      "since; put the old file back to go on, or begin anew",
                      input.path, input.bytes, about.st_size)}};
    if (::access(input.path.c_str(), R_OK) != 0)
      return tl::unexpected{input_error(input, std::strerror(errno))};
  }
  return std::unique_ptr<intake::ByteSource>{new FileSource{inputs}};
}

Result<int> FileSource::descriptor(std::uint32_t input) {
  const auto known = std::find_if(open_.begin(), open_.end(),
                                  [&](const Open& o) { return o.input == input; });
  if (known != open_.end()) {
    open_.splice(open_.begin(), open_, known);
    return open_.front().file.get();
  }
  FileDescriptor file{::open(inputs_[input].path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.get() < 0) return tl::unexpected{input_error(inputs_[input], std::strerror(errno))};
  if (open_.size() >= open_files_max) open_.pop_back();
  open_.push_front({input, std::move(file)});
  return open_.front().file.get();
}

Result<std::size_t> FileSource::read(std::uint32_t input, std::uint64_t offset,
                                     std::span<char> into) {
  const auto file = descriptor(input);
  if (!file) return tl::unexpected{file.error()};
  for (;;) {
    const ssize_t got = ::pread(*file, into.data(), into.size(), static_cast<off_t>(offset));
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return tl::unexpected{input_error(inputs_[input], std::strerror(errno))};
  }
}

} // namespace gristmill::coordinator
