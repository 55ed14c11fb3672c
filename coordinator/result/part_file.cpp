#include "coordinator/result/part_file.hpp"

#include <array>
#include <cstdlib>
#include <fmt/format.h>
#include <sodium.h>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

constexpr std::size_t gathered_bytes_max = 1u << 20;

// A rename would put a file in the place of a device or a pipe.
Result<> refuse_special(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) return {};
  return fail(ErrorCode::usage,
              fmt::format("expected a file to be written or replaced, got {}, which is {}: name "
                          "another output",
                          path, S_ISDIR(info.st_mode) ? "a directory" : "no regular file"));
}

Error cannot_create(Error error, const std::string& path) {
  error.message += fmt::format(": expected {} to be a directory that can be written; make it so, "
                               "or name another output",
                               directory_of(path));
  return error;
}

} // namespace

struct PartFile::Digest {
  crypto_hash_sha256_state state;
};

Result<std::unique_ptr<PartFile>> PartFile::create(const std::string& path, PartOptions options) {
  GRISTMILL_TRY(refuse_special(path));
  auto compressor = Compressor::of(options.form);
  GRISTMILL_TRY(compressor);
  const std::string part = path + ".part";
  // Of a kill. What cannot be removed is found by the next call.
  static_cast<void>(options.calls.unlink(part.c_str()));
  auto file = open_file(part, O_WRONLY | O_CREAT | O_EXCL, static_cast<mode_t>(options.readers),
                        options.calls);
  if (!file) return tl::unexpected{cannot_create(std::move(file.error()), path)};
  return std::unique_ptr<PartFile>{
      new PartFile{path, std::move(*file), std::move(options.calls), std::move(*compressor)}};
}

Result<> PartFile::probe(const std::string& path) {
  GRISTMILL_TRY(refuse_special(path));
  std::string name = path + ".part.XXXXXX";
  const FileDescriptor file{::mkostemp(name.data(), O_CLOEXEC)};
  if (!file) return tl::unexpected{cannot_create(disk_error("create", path + ".part"), path)};
  ::unlink(name.c_str());
  return {};
}

PartFile::PartFile(std::string path, FileDescriptor file, DiskCalls calls,
                   std::unique_ptr<Compressor> compressor)
    : path_{std::move(path)}, part_{path_ + ".part"}, file_{std::move(file)}, calls_{std::move(
                                                                                  calls)},
      compressor_{std::move(compressor)}, digest_{std::make_unique<Digest>()} {
  crypto_hash_sha256_init(&digest_->state);
}

// The name may be a successor's already.
bool PartFile::is_named_part() const {
  struct stat ours {
  }, named{};
  return ::fstat(file_.get(), &ours) == 0 && ::lstat(part_.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

PartFile::~PartFile() {
  if (!finished_ && is_named_part()) static_cast<void>(calls_.unlink(part_.c_str()));
}

Result<> PartFile::append(std::string_view bytes) {
  const bool large = bytes.size() >= large_piece_bytes;
  if (!gathered_.empty() && (large || gathered_.size() + bytes.size() > gathered_bytes_max))
    GRISTMILL_TRY(flush());
  if (large) return put(bytes);
  gathered_ += bytes;
  return {};
}

Result<> PartFile::flush(bool last) {
  GRISTMILL_TRY(put(gathered_, last));
  gathered_.clear();
  return {};
}

Result<> PartFile::put(std::string_view bytes, bool last) {
  if (!compressor_) return write(bytes);
  std::string compressed;
  GRISTMILL_TRY(compressor_->add(bytes, last, compressed));
  return write(compressed);
}

Result<> PartFile::write(std::string_view bytes) {
  crypto_hash_sha256_update(&digest_->state, reinterpret_cast<const unsigned char*>(bytes.data()),
                            bytes.size());
  GRISTMILL_TRY(write_all(file_, bytes, part_, calls_));
  bytes_ += bytes.size();
  return {};
}

Result<> PartFile::complete() {
  if (complete_) return {};
  GRISTMILL_TRY(flush(true));
  GRISTMILL_TRY(sync_file(file_, part_, calls_));
  complete_ = true;
  return {};
}

Result<> PartFile::finish() {
  GRISTMILL_TRY(complete());
  if (!is_named_part())
    return fail(ErrorCode::conflict,
                fmt::format("expected {} to be the file that was written here, got another or "
                            "none: somebody else writes {} at the same time; let one of them "
                            "write elsewhere",
                            part_, path_));
  if (auto closed = close_file(std::move(file_), part_, calls_); !closed) {
    static_cast<void>(calls_.unlink(part_.c_str()));
    return closed;
  }
  if (auto renamed = rename_file(part_, path_, calls_); !renamed) {
    static_cast<void>(calls_.unlink(part_.c_str()));
    return renamed;
  }
  finished_ = true;
  return sync_directory(directory_of(path_), calls_);
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
