// A file as a ByteReader.
#pragma once

#include "actors/journal/byte_reader.hpp"
#include "coordinator/disk/file_descriptor.hpp"

#include <sys/stat.h>

namespace gristmill::coordinator {

class FileReader final : public journal::ByteReader {
public:
  explicit FileReader(FileDescriptor file) : file_{std::move(file)} {}
  Result<std::size_t> read(std::uint64_t offset, std::span<char> into) const override;
  journal::ByteState state() const override; // nothing of a file that cannot be asked

private:
  FileDescriptor file_;
};

// When a file was written, as an InputSpec has it.
std::uint64_t modified_ns(const struct stat& about);
journal::ByteState state_of(const struct stat& about);

} // namespace gristmill::coordinator
