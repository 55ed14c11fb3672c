// SCRATCH FILE: a file without a name, so that it ends with its owner even by a kill, and the pages
// of one for the intake. Made when it is first written. Invariant: nothing in it outlives the
// process.
#pragma once

#include "actors/intake/scratch_pages.hpp"
#include "coordinator/disk/disk_room.hpp"
#include "coordinator/disk/file_io.hpp"
#include "protocol/result.hpp"

#include <span>
#include <string>

namespace gristmill::coordinator {

class ScratchFile {
public:
  explicit ScratchFile(std::string directory)
      : directory_{std::move(directory)}, room_{directory_, "scratch files"} {}

  // Behind what was written before. Refused while the disk would be left nearly full, because the
  // journal needs it more.
  Result<> append(std::span<const std::byte> bytes);
  Result<std::size_t> read(std::uint64_t offset, std::span<std::byte> into) const;
  Result<> clear();
  std::uint64_t bytes() const { return bytes_; }

private:
  std::string directory_;
  FileDescriptor file_;
  DiskRoom room_;
  std::uint64_t bytes_ = 0;
};

class DiskScratchPages final : public intake::ScratchPages {
public:
  explicit DiskScratchPages(std::string directory) : file_{std::move(directory)} {}
  Result<std::uint64_t> append(const intake::Page& page) override;
  Result<> read(std::uint64_t number, intake::Page& into) override;
  Result<> clear() override { return file_.clear(); }

private:
  ScratchFile file_;
};

} // namespace gristmill::coordinator
