// PART FILE: a file that is written as NAME.part beside its place and gets its name when it is
// complete and durable, replacing what stood there. Without that, the part is removed with its
// owner; one that a kill left is removed by the next.
// It may be compressed on its way; bytes and digest are those of the file.
// Invariant: NAME is never seen half written, neither by readers nor after a power cut.
#pragma once

#include "coordinator/disk/file_io.hpp"
#include "coordinator/result/compressor.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

// Who may read a file: whom the user's umask lets, or nobody but its owner.
enum class Readers : mode_t { by_umask = 0666, owner = 0600 };

struct PartOptions {
  OutputForm form = OutputForm::lines;
  Readers readers = Readers::by_umask;
  DiskCalls calls = real_disk();
};

class PartFile {
public:
  static constexpr std::size_t large_piece_bytes = 512u << 10;

  static Result<std::unique_ptr<PartFile>> create(const std::string& path,
                                                  PartOptions options = {});
  // Whether it could be created now; leaves no trace, and an owner of the part alone.
  static Result<> probe(const std::string& path);
  ~PartFile();
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  // Gathered for the next write, or written now if they are large_piece_bytes or more.
  Result<> append(std::string_view bytes);
  // Everything that was appended is on disk, in the part; nothing can be appended any more.
  Result<> complete();
  Result<> finish(); // completes it and gives it its name

  const std::string& part_path() const { return part_; }
  std::uint64_t bytes() const { return bytes_; }
  // Of what was written, as hex digits; once, after finish().
  std::string sha256();

private:
  struct Digest;
  PartFile(std::string path, FileDescriptor file, DiskCalls calls,
           std::unique_ptr<Compressor> compressor);
  bool is_named_part() const;
  Result<> put(std::string_view bytes, bool last = false);
  Result<> flush(bool last = false);
  Result<> write(std::string_view bytes);

  std::string path_, part_;
  FileDescriptor file_;
  DiskCalls calls_;
  std::unique_ptr<Compressor> compressor_;
  std::string gathered_; // appended, not yet written
  std::uint64_t bytes_ = 0;
  bool complete_ = false, finished_ = false;
  std::unique_ptr<Digest> digest_;
};

} // namespace gristmill::coordinator
