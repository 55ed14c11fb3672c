// SHARED DIRECTORY: a directory that several machines see: a mounted volume, NFS, Lustre. What one
// of them has written, synced and closed, another one that opens it afterwards has to find; that is
// all that is asked of it. Every file is opened below the directory by the kernel itself, so no
// name and no link leads out of it.
// Invariant: what write() and sync() did not refuse survives a power cut of this machine.
#pragma once

#include "protocol/result.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace gristmill {

// A file that is open. Errors name call and file.
class SharedFile {
public:
  SharedFile() = default;
  SharedFile(int descriptor, std::string path) : descriptor_{descriptor}, path_{std::move(path)} {}
  SharedFile(SharedFile&& other) noexcept
      : descriptor_{std::exchange(other.descriptor_, -1)}, path_{std::move(other.path_)} {}
  SharedFile& operator=(SharedFile&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    std::swap(path_, other.path_);
    return *this;
  }
  ~SharedFile();
  explicit operator bool() const { return descriptor_ >= 0; }
  const std::string& path() const { return path_; }

  // Fewer than asked for only at its end.
  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const;
  Result<> write(std::uint64_t offset, std::string_view bytes) const;
  Result<> sync() const;
  Result<> close(); // some file systems say only now that it could not be kept

private:
  friend class SharedDirectory;
  int descriptor_ = -1;
  std::string path_;
};

class SharedDirectory {
public:
  // Shows that what is written, synced and closed here is found again. The error says what is
  // wrong with the directory.
  static Result<SharedDirectory> open(const std::string& path);

  const std::string& path() const { return path_; } // absolute and without links

  // Names are below the directory.
  Result<SharedFile> open_to_read(const std::string& name) const;
  Result<SharedFile> create(const std::string& name) const;        // nobody has one of that name
  Result<SharedFile> open_to_write(const std::string& name) const; // one that there is
  Result<> make_directory(const std::string& name) const;          // its parent is there
  // All of a small file, which is opened anew.
  Result<std::string> read(const std::string& name) const;
  Result<> write(const std::string& name, std::string_view text) const; // replaces it
  // Bytes that somebody else says are there, if they are what he says; the error names file and
  // offset.
  Result<std::string> read_range(const SharedFile& file, std::uint64_t offset, std::size_t bytes,
                                 std::uint32_t crc) const;

private:
  SharedDirectory(SharedFile directory, std::string path)
      : directory_{std::move(directory)}, path_{std::move(path)} {}
  Result<SharedFile> open(const std::string& name, int flags) const;
  Result<> sync_parent(const std::string& name) const;
  Result<> test() const;

  SharedFile directory_;
  std::string path_;
};

} // namespace gristmill
