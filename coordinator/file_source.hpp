// FILE SOURCE: a job's input files on disk. Files are opened when they are first read and a few stay
// open, so that a job over ten thousand documents needs a handful of descriptors.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "coordinator/file_descriptor.hpp"
#include "protocol/job_spec.hpp"

#include <list>
#include <memory>
#include <vector>

namespace gristmill::coordinator {

class FileSource final : public intake::ByteSource {
public:
  // An error names the first input that cannot be read, and why.
  static Result<std::unique_ptr<intake::ByteSource>> open(const std::vector<InputSpec>& inputs);

  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset, std::span<char> into) override;

private:
  struct Open {
    std::uint32_t input;
    FileDescriptor file;
  };
  explicit FileSource(std::vector<InputSpec> inputs) : inputs_{std::move(inputs)} {}
  Result<int> descriptor(std::uint32_t input);

  std::vector<InputSpec> inputs_;
  std::list<Open> open_; // the most recently used first
};

} // namespace gristmill::coordinator
