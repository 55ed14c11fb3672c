#include "coordinator/http/server/file_pieces.hpp"

#include "coordinator/disk/file_io.hpp"

#include <algorithm>
#include <sys/stat.h>
#include <utility>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t piece_bytes = 256 * 1024;

} // namespace

Result<std::shared_ptr<FilePieces>> FilePieces::open(const std::string& path,
                                                     WorkThreads& readers) {
  FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat about {};
  if (!file || ::fstat(file.get(), &about) != 0) return tl::unexpected{disk_error("open", path)};
  return std::shared_ptr<FilePieces>{
      new FilePieces{path, std::move(file), static_cast<std::uint64_t>(about.st_size), readers}};
}

std::optional<std::size_t> FilePieces::read(char* to, std::size_t most) {
  const std::lock_guard lock{mutex_};
  if (reading_) return 0;
  if (taken_ < piece_.size()) {
    const std::size_t bytes = std::min(most, piece_.size() - taken_);
    std::copy_n(piece_.data() + taken_, bytes, to);
    taken_ += bytes;
    return bytes;
  }
  if (over_ || read_ == bytes_) return std::nullopt;
  reading_ = true;
  readers_.order([self = shared_from_this()] { self->read_next(); });
  return 0;
}

// Meanwhile the piece is its reader's.
void FilePieces::read_next() {
  piece_.resize(std::min<std::uint64_t>(piece_bytes, bytes_ - read_));
  const auto got = read_at(file_, read_, piece_, path_);
  std::unique_lock lock{mutex_};
  piece_.resize(got.value_or(0));
  taken_ = 0;
  read_ += piece_.size();
  over_ = over_ || piece_.empty();
  reading_ = false;
  const auto ready = std::exchange(ready_, nullptr);
  lock.unlock();
  if (ready) ready();
}

void FilePieces::when_ready(std::function<void()> ready) {
  {
    const std::lock_guard lock{mutex_};
    if (reading_) {
      ready_ = std::move(ready);
      return;
    }
  }
  ready();
}

void FilePieces::abandon() {
  const std::lock_guard lock{mutex_};
  over_ = true;
  ready_ = nullptr;
}

} // namespace gristmill::coordinator
