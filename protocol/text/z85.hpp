// Z85: 32 bytes of a key as 40 printable characters, the form in which ZeroMQ's own tools write
// keys (rfc.zeromq.org/spec/32). Mind that its alphabet holds '#', '=' and '&', but no space and no
// quote. Invariant: decode(encode(bytes)) == bytes, and every key has exactly one text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace gristmill {

std::string z85_encode(std::string_view bytes); // a multiple of 4 bytes
std::optional<std::string> z85_decode(std::string_view text);

} // namespace gristmill
