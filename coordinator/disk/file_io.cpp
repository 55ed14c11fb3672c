#include "coordinator/disk/file_io.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fmt/format.h>
#include <sys/stat.h>

namespace gristmill::coordinator {
namespace {

namespace fs = std::filesystem;

template <class Call> auto unless_interrupted(const Call& call) {
  for (;;) {
    const auto result = call();
    if (result >= 0 || errno != EINTR) return result;
  }
}

// Until `piece(done)`, which returns what was done at once, has done it all.
template <class Piece>
Result<std::size_t> in_pieces(std::size_t bytes, std::string_view call, const std::string& path,
                              const Piece& piece) {
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t size = unless_interrupted([&] { return piece(done); });
    if (size < 0) return tl::unexpected{disk_error(call, path)};
    if (size == 0) break;
    done += static_cast<std::size_t>(size);
  }
  return done;
}

Result<> all_of(const Result<std::size_t>& done, std::size_t bytes, const std::string& path) {
  GRISTMILL_TRY(done);
  if (*done == bytes) return {};
  return fail(ErrorCode::io,
              fmt::format("write {}: it takes no more bytes after {} of {}", path, *done, bytes));
}

Result<> synced(int result, std::string_view call, const std::string& path) {
  if (result == 0) return {};
  return fail(ErrorCode::io, disk_error(call, path).message);
}

} // namespace

const DiskCalls& real_disk() {
  static const DiskCalls calls;
  return calls;
}

Error disk_error(std::string_view call, const std::string& path) {
  const int reason = errno;
  std::string message = fmt::format("{} {}: {}", call, path, std::strerror(reason));
  if (reason == ENOSPC || reason == EDQUOT)
    return {ErrorCode::disk_full, message + ": free some space"};
  if (reason == EMFILE || reason == ENFILE) // it may do when others have closed theirs
    return {ErrorCode::unavailable, message + ": raise the limit of open files"};
  if (reason == EFBIG) message += ": raise the limit on the size of files (ulimit -f)";
  return {ErrorCode::io, std::move(message)};
}

Result<FileDescriptor> open_file(const std::string& path, int flags, mode_t mode,
                                 const DiskCalls& calls) {
  const int fd =
      unless_interrupted([&] { return calls.open(path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return tl::unexpected{disk_error(flags & O_CREAT ? "create" : "open", path)};
  return FileDescriptor{fd};
}

Result<> write_all(const FileDescriptor& file, std::string_view bytes, const std::string& path,
                   const DiskCalls& calls) {
  return all_of(in_pieces(bytes.size(), "write", path,
                          [&](std::size_t done) {
                            return calls.write(file.get(), bytes.data() + done,
                                               bytes.size() - done);
                          }),
                bytes.size(), path);
}

Result<> write_all_at(const FileDescriptor& file, std::uint64_t offset, std::string_view bytes,
                      const std::string& path, const DiskCalls& calls) {
  return all_of(in_pieces(bytes.size(), "write", path,
                          [&](std::size_t done) {
                            return calls.pwrite(file.get(), bytes.data() + done,
                                                bytes.size() - done,
                                                static_cast<off_t>(offset + done));
                          }),
                bytes.size(), path);
}

Result<std::size_t> read_at(const FileDescriptor& file, std::uint64_t offset, std::span<char> into,
                            const std::string& path) {
  return in_pieces(into.size(), "read", path, [&](std::size_t done) {
    return ::pread(file.get(), into.data() + done, into.size() - done,
                   static_cast<off_t>(offset + done));
  });
}

Result<std::size_t> read_some(int descriptor, std::span<char> into, const std::string& path) {
  const ssize_t size =
      unless_interrupted([&] { return ::read(descriptor, into.data(), into.size()); });
  if (size < 0) return tl::unexpected{disk_error("read", path)};
  return static_cast<std::size_t>(size);
}

Result<> sync_file(const FileDescriptor& file, const std::string& path, const DiskCalls& calls) {
  return synced(unless_interrupted([&] { return calls.fsync(file.get()); }), "fsync", path);
}

Result<> sync_data(const FileDescriptor& file, const std::string& path, const DiskCalls& calls) {
  return synced(unless_interrupted([&] { return calls.fdatasync(file.get()); }), "fdatasync", path);
}

Result<> sync_file_system(const FileDescriptor& file, const std::string& path,
                          const DiskCalls& calls) {
  return synced(unless_interrupted([&] { return calls.syncfs(file.get()); }), "syncfs", path);
}

// Not again after EINTR: Linux has closed it then.
Result<> close_file(FileDescriptor file, const std::string& path, const DiskCalls& calls) {
  const int result = calls.close(file.release());
  return result != 0 && errno == EINTR ? Result<>{} : synced(result, "close", path);
}

Result<> rename_file(const std::string& from, const std::string& to, const DiskCalls& calls) {
  if (calls.rename(from.c_str(), to.c_str()) == 0) return {};
  return tl::unexpected{disk_error("rename to " + to + " of", from)};
}

Result<> sync_directory(const std::string& path, const DiskCalls& calls) {
  const auto directory = open_file(path, O_RDONLY | O_DIRECTORY, 0, calls);
  GRISTMILL_TRY(directory);
  return synced(unless_interrupted([&] { return calls.fsync_directory(directory->get()); }),
                "fsync", path);
}

Result<> make_directory(const std::string& path, const DiskCalls& calls) {
  std::error_code error;
  if (fs::is_directory(path, error)) return {};
  fs::path parent = fs::path{path}.lexically_normal();
  if (!parent.has_filename()) parent = parent.parent_path(); // "a/b/" is "a/b"
  parent = directory_of(parent.string());
  GRISTMILL_TRY(make_directory(parent.string(), calls));
  if (::mkdir(path.c_str(), 0700) != 0) {
    const int reason = errno;
    if (reason != EEXIST || !fs::is_directory(path, error)) {
      errno = reason;
      return tl::unexpected{disk_error("mkdir", path)};
    }
  }
  auto synced = sync_directory(parent.string(), calls);
  // Whoever tries again would find it, and take it for durable.
  if (!synced) ::rmdir(path.c_str());
  return synced;
}

std::string directory_of(const std::string& path) {
  const std::string directory = fs::path{path}.parent_path().string();
  return directory.empty() ? "." : directory;
}

} // namespace gristmill::coordinator
