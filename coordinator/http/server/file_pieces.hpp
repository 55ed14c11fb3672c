// FILE PIECES: a file on its way to one client. When a piece has been sent, the next one is read on
// threads for that, because a disk may block its reader. Invariant: one piece is in memory, however
// large the file is.
#pragma once

#include "coordinator/disk/file_descriptor.hpp"
#include "coordinator/disk/work_threads.hpp"
#include "coordinator/http/server/body_source.hpp"
#include "protocol/result.hpp"

#include <memory>
#include <mutex>
#include <string>

namespace gristmill::coordinator {

class FilePieces final : public BodySource, public std::enable_shared_from_this<FilePieces> {
public:
  // As long as it is now. `readers` must outlive whoever reads it.
  static Result<std::shared_ptr<FilePieces>> open(const std::string& path, WorkThreads& readers);

  std::optional<std::uint64_t> bytes() const override { return bytes_; }
  // Over before its end: the file could not be read, or is shorter than it was.
  std::optional<std::size_t> read(char* to, std::size_t most) override;
  void when_ready(std::function<void()> ready) override;
  void finish() override {} // it has an end
  void abandon() override;

private:
  FilePieces(std::string path, FileDescriptor file, std::uint64_t bytes, WorkThreads& readers)
      : path_{std::move(path)}, file_{std::move(file)}, bytes_{bytes}, readers_{readers} {}
  void read_next();

  const std::string path_;
  const FileDescriptor file_;
  const std::uint64_t bytes_;
  WorkThreads& readers_;

  std::mutex mutex_;
  std::string piece_;
  std::size_t taken_ = 0;  // of the piece
  std::uint64_t read_ = 0; // of the file
  bool reading_ = false, over_ = false;
  std::function<void()> ready_;
};

} // namespace gristmill::coordinator
