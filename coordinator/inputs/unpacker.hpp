// UNPACKER: a compressed file as the stream of bytes in it: gzip (also of several members, as cat
// and bgzip make it) and zstd (also of several frames). Invariant: memory is bounded by the
// format's window (gzip 32 KiB, zstd 128 MiB), whatever the file unpacks to; a cut or damaged file
// ends in an error, never as a shorter one.
#pragma once

#include "protocol/result.hpp"

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

namespace gristmill::coordinator {

enum class Packing : std::uint8_t { none, gzip, zstd };

// By the first bytes. A name that promises packing must keep it: what is then wrong is the error,
// a sentence's end.
Result<Packing> packing_of(std::string_view name, std::string_view head);

class Unpacker {
public:
  // Gives the next bytes of the file; 0 = its end.
  using Read = std::function<Result<std::size_t>(std::span<char>)>;
  virtual ~Unpacker() = default;
  // The next unpacked bytes, up to `into.size()`; 0 = the end of a whole file. The error's message
  // says what is wrong with the file, without its name.
  virtual Result<std::size_t> next(std::span<char> into) = 0;

  static std::unique_ptr<Unpacker> open(Packing packing, Read read);
};

} // namespace gristmill::coordinator
