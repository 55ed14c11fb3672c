// BYTE SOURCE: the window to a job's input files. Any offset may be read again at any time, so what
// can be read once only (a pipe) is spooled to a file before the job begins, and what is compressed
// is unpacked behind the window: offsets are those of the unpacked bytes.
#pragma once

#include "actors/intake/scratch_pages.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/result.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gristmill::intake {

class ByteSource {
public:
  virtual ~ByteSource() = default;
  // Reads up to `into.size()` bytes of input number `input` from `offset`; 0 = end of the input.
  // not_yet: the input goes on, but there is no more of it now.
  virtual Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                                   std::span<char> into) = 0;
  virtual std::uint32_t input_count() const = 0;
  // Of such an input, whether or not it has come to its end meanwhile.
  virtual bool grows(std::uint32_t) { return false; }
  virtual Result<std::string> name_of(std::uint32_t input) = 0; // what result lines call it
  // The file, below a directory that workers share with us, that has the input's bytes from `from`
  // on; no name: it is not there, or packed.
  struct SharedPlace {
    std::string file;
    std::uint64_t from = 0;
  };
  virtual SharedPlace shared_place_of(std::uint32_t) { return {}; }
  // Inputs of an open job, behind those that there are; and that no more come.
  virtual void append(const std::vector<InputSpec>&) {}
  virtual void close() {}
  virtual bool is_closed() const { return false; }
  // Room on disk for what grows with the items; it ends with its owner.
  virtual std::unique_ptr<ScratchPages> scratch() = 0;
};

} // namespace gristmill::intake
