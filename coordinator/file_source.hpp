// FILE SOURCE: a job's input files on disk. Files are opened when they are first read and a few
// stay open, so that a job over a hundred thousand documents needs a handful of descriptors. A
// compressed file is unpacked as far as it is read, into a file without a name, because what was
// read is read again at any place. An input may also be a piece of a file that holds many.
// Invariant: an input that is not what it was when the job began
// is an error.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "coordinator/file_descriptor.hpp"
#include "coordinator/input_list.hpp"
#include "coordinator/scratch_file.hpp"
#include "coordinator/unpacker.hpp"

#include <list>
#include <memory>
#include <vector>

namespace gristmill::coordinator {

class FileSource final : public intake::ByteSource {
public:
  // An error names the first input that cannot be read, and why; of a list, once it is read. What
  // is unpacked, and what else grows with the items, is kept in `scratch_directory`.
  static Result<std::unique_ptr<intake::ByteSource>> open(const std::vector<InputSpec>& inputs,
                                                          std::string scratch_directory);

  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override;
  std::uint32_t input_count() const override { return inputs_.count(); }
  Result<std::string> name_of(std::uint32_t input) override;
  std::unique_ptr<intake::ScratchPages> scratch() override;

private:
  struct Open {
    std::uint32_t input = 0;
    std::string path;
    FileDescriptor file;
    std::uint64_t from = 0, bytes = ~std::uint64_t{0}; // what of the file is the input's
    std::unique_ptr<ScratchFile> unpacked;             // none: the file is not compressed
    std::unique_ptr<Unpacker> unpacker;                // none: all of it is unpacked
  };
  FileSource(InputList inputs, std::string scratch_directory)
      : inputs_{std::move(inputs)}, scratch_directory_{std::move(scratch_directory)} {}
  Result<Open*> opened(std::uint32_t input);
  static Result<std::size_t> read_input(const Open& open, std::uint64_t offset,
                                        std::span<char> into);
  Result<> find_packing(Open& open, std::string_view name);
  static Result<> unpack_to(Open& open, std::uint64_t end);

  InputList inputs_;
  std::string scratch_directory_;
  std::list<Open> open_; // the most recently used first
};

} // namespace gristmill::coordinator
