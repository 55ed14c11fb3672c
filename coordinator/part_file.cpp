#include "coordinator/part_file.hpp"

#include "coordinator/state_directory.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t gathered_bytes_max = 1u << 20;

std::string directory_of(const std::string& path) {
  const std::string directory = std::filesystem::path{path}.parent_path().string();
  return directory.empty() ? "." : directory;
}

// A rename would put a file in the place of a device or a pipe.
Result<> refuse_special(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return fail(ErrorCode::usage,
              fmt::format("expected a file to be written or replaced, got {}, which is {}: name "
                          "another output",
                          path, S_ISDIR(info.st_mode) ? "a directory" : "no regular file"));
}

Error cannot_create(const std::string& part, const std::string& path) {
  Error error = disk_error("create", part);
  error.message += fmt::format(": expected {} to be a directory that can be written; make it so, "
                               "or name another output",
                               directory_of(path));
  return error;
}

} // namespace

struct PartFile::Digest {
  crypto_hash_sha256_state state;
};

Result<std::unique_ptr<PartFile>> PartFile::create(const std::string& path, PartCalls calls,
                                                   OutputForm form) {
  if (auto regular = refuse_special(path); !regular) return tl::unexpected{regular.error()};
  auto compressor = Compressor::of(form);
  if (!compressor) return tl::unexpected{compressor.error()};
  const std::string part = path + ".part";
  ::unlink(part.c_str()); // of a kill; what cannot be removed is found by the next call
  FileDescriptor file{::open(part.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666)};
  if (!file) return tl::unexpected{cannot_create(part, path)};
  return std::unique_ptr<PartFile>{
      new PartFile{path, std::move(file), std::move(calls), std::move(*compressor)}};
}

Result<> PartFile::probe(const std::string& path) {
  if (auto regular = refuse_special(path); !regular) return regular;
  std::string name = path + ".part.XXXXXX";
  const FileDescriptor file{::mkostemp(name.data(), O_CLOEXEC)};
  if (!file) return tl::unexpected{cannot_create(path + ".part", path)};
  ::unlink(name.c_str());
  return {};
}

PartFile::PartFile(std::string path, FileDescriptor file, PartCalls calls,
                   std::unique_ptr<Compressor> compressor)
    : path_{std::move(path)}, part_{path_ + ".part"}, file_{std::move(file)}, calls_{std::move(
                                                                                  calls)},
      compressor_{std::move(compressor)}, digest_{std::make_unique<Digest>()} {
  crypto_hash_sha256_init(&digest_->state);
}

PartFile::~PartFile() {
  // The name may be a successor's already.
  struct stat ours {
  }, named{};
  if (!finished_ && ::fstat(file_.get(), &ours) == 0 && ::stat(part_.c_str(), &named) == 0 &&
      ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
    ::unlink(part_.c_str());
}

Result<> PartFile::append(std::string_view bytes) {
  if (gathered_.size() + bytes.size() > gathered_bytes_max)
    if (auto flushed = flush(); !flushed) return flushed;
  if (bytes.size() > gathered_bytes_max) return put(bytes);
  gathered_ += bytes;
  return {};
}

Result<> PartFile::flush(bool last) {
  if (auto put_there = put(gathered_, last); !put_there) return put_there;
  gathered_.clear();
  return {};
}

Result<> PartFile::put(std::string_view bytes, bool last) {
  if (!compressor_) return write(bytes);
  std::string compressed;
  if (auto added = compressor_->add(bytes, last, compressed); !added) return added;
  return write(compressed);
}

Result<> PartFile::write(std::string_view bytes) {
  crypto_hash_sha256_update(&digest_->state, reinterpret_cast<const unsigned char*>(bytes.data()),
                            bytes.size());
  while (!bytes.empty()) {
    const ssize_t size = calls_.write(file_.get(), bytes.data(), bytes.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return tl::unexpected{disk_error("write", part_)};
    bytes_ += static_cast<std::uint64_t>(size);
    bytes.remove_prefix(static_cast<std::size_t>(size));
  }
  return {};
}

Result<> PartFile::finish() {
  if (auto flushed = flush(true); !flushed) return flushed;
  // Even for want of space: the kernel may have dropped the pages, only writing anew can help.
  if (calls_.fsync(file_.get()) != 0)
    return fail(ErrorCode::io, disk_error("fsync", part_).message);
  if (::rename(part_.c_str(), path_.c_str()) != 0)
    return tl::unexpected{disk_error("rename to " + path_ + " of", part_)};
  finished_ = true;
  return sync_directory(directory_of(path_));
}

std::string PartFile::sha256() {
  std::array<unsigned char, crypto_hash_sha256_BYTES> digest{};
  crypto_hash_sha256_final(&digest_->state, digest.data());
  std::string hex(2 * digest.size() + 1, '\0'); // sodium ends it with a zero
  sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
  hex.pop_back();
  return hex;
}

} // namespace gristmill::coordinator
