// RESULT FILE: a result as a stream of bytes, from a file or from standard input, compressed or
// not. Invariant: memory does not follow its length; what is known to be something else than a
// result is refused with what it is.
#pragma once

#include "actors/intake/byte_source.hpp"
#include "coordinator/disk/file_descriptor.hpp"
#include "coordinator/inputs/unpacker.hpp"

#include <memory>
#include <string>

namespace gristmill::cli::flat {

// A byte source that is read once, from its beginning to its end.
class ResultFile final : public intake::ByteSource {
public:
  // `path` may be "-". Errors (usage) say what was found instead of a result.
  static Result<std::unique_ptr<ResultFile>> open(const std::string& path);

  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override;
  std::uint32_t input_count() const override { return 1; }
  Result<std::string> name_of(std::uint32_t) override { return name_; }
  std::unique_ptr<intake::ScratchPages> scratch() override { return {}; } // nothing grows
  const std::string& name() const { return name_; }

private:
  ResultFile(const std::string& path, coordinator::FileDescriptor file);
  Result<> look_at_head(const std::string& path);
  Result<std::size_t> packed(std::span<char> into);

  std::string name_;
  coordinator::FileDescriptor file_;
  std::string head_; // was read to see what it is, and is not yet given away
  std::unique_ptr<coordinator::Unpacker> unpacker_; // none: the file is not compressed
  std::uint64_t given_ = 0;
};

} // namespace gristmill::cli::flat
