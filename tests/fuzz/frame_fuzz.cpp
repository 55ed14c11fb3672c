// Foreign bytes as a frame, in both directions. Whatever is accepted must come back as the same
// frame when it is written and read again.
#include "protocol/node/codec.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

using namespace gristmill::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  for (const Direction direction : {Direction::from_worker, Direction::from_coordinator}) {
    const auto frame = decode(bytes, direction);
    if (!frame) continue;
    const auto again = decode(encode(*frame), direction);
    if (!again || *again != *frame) std::abort();
  }
  return 0;
}
