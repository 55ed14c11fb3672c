#include "bare_files.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <system_error>
#include <unistd.h>

namespace gristmill::bench {
namespace {

constexpr std::size_t block_bytes = 1u << 20;

[[noreturn]] void fail(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), path);
}

int open_file(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  if (file < 0) fail(path);
  return file;
}

} // namespace

LineReader::LineReader(const std::string& path)
    : file_(open_file(path, O_RDONLY)), path_(path), buffer_(block_bytes, '\0') {}

LineReader::~LineReader() {
  ::close(file_);
}

bool LineReader::next(std::string_view& line) {
  std::size_t searched = from_;
  for (;;) {
    const void* end = std::memchr(buffer_.data() + searched, '\n', to_ - searched);
    if (end != nullptr) {
      const auto at = static_cast<std::size_t>(static_cast<const char*>(end) - buffer_.data());
      line = std::string_view(buffer_).substr(from_, at - from_);
      from_ = at + 1;
      return true;
    }
    const std::size_t unfinished = to_ - from_;
    if (!fill()) {
      line = std::string_view(buffer_).substr(from_, unfinished);
      from_ = to_;
      return unfinished > 0;
    }
    searched = from_ + unfinished;
  }
}

bool LineReader::fill() {
  std::memmove(buffer_.data(), buffer_.data() + from_, to_ - from_);
  to_ -= from_;
  from_ = 0;
  if (to_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  const auto count = ::read(file_, buffer_.data() + to_, buffer_.size() - to_);
  if (count < 0) fail(path_);
  to_ += static_cast<std::size_t>(count);
  return count > 0;
}

LineWriter::LineWriter(const std::string& path)
    : file_(open_file(path, O_WRONLY | O_CREAT | O_TRUNC)), path_(path) {
  pending_.reserve(block_bytes + 65536);
}

LineWriter::~LineWriter() {
  ::close(file_);
}

void LineWriter::write_if_full() {
  if (pending_.size() >= block_bytes) flush();
}

void LineWriter::flush() {
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const auto count = ::write(file_, rest.data(), rest.size());
    if (count < 0) fail(path_);
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  pending_.clear();
}

} // namespace gristmill::bench
