// PART FILE: a file that is written as NAME.part beside its place and gets its name when it is
// complete and durable, replacing what stood there. Without that, the part is removed with its
// owner; one that a kill left is removed by the next.
// It may be compressed on its way; bytes and digest are those of the file.
// Invariant: NAME is never seen half written, neither by readers nor after a power cut.
#pragma once

#include "coordinator/compressor.hpp"
#include "coordinator/file_descriptor.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <unistd.h>

namespace gristmill::coordinator {

// The system calls that may fail with a full or a broken disk; tests put their own here.
struct PartCalls {
  std::function<ssize_t(int, const void*, std::size_t)> write = ::write;
  std::function<int(int)> fsync = ::fsync;
};

class PartFile {
public:
  static Result<std::unique_ptr<PartFile>> create(const std::string& path, PartCalls calls,
                                                  OutputForm form = OutputForm::lines);
  // Whether it could be created now; leaves no trace, and an owner of the part alone.
  static Result<> probe(const std::string& path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  Result<> append(std::string_view bytes);
  Result<> finish();

  std::uint64_t bytes() const { return bytes_; }
  // Of what was written, as hex digits; once, after finish().
  std::string sha256();

private:
  struct Digest;
  PartFile(std::string path, FileDescriptor file, PartCalls calls,
           std::unique_ptr<Compressor> compressor);
  Result<> put(std::string_view bytes, bool last = false);
  Result<> flush(bool last = false);
  Result<> write(std::string_view bytes);

  std::string path_, part_;
  FileDescriptor file_;
  PartCalls calls_;
  std::unique_ptr<Compressor> compressor_;
  std::string gathered_; // appended, not yet written
  std::uint64_t bytes_ = 0;
  bool finished_ = false;
  std::unique_ptr<Digest> digest_;
};

} // namespace gristmill::coordinator
