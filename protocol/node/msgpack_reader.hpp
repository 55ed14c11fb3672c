// Reads msgpack from foreign bytes value by value, as the caller's schema asks for them. The
// library's own unpack() builds a tree of 16 to 32 bytes per element before anybody can look at a
// bound; here nothing is built: text and bytes are views into the frame, and a list is paid for
// before its memory is taken. Invariant: whoever reserves only what array() admitted and copies
// only the views allocates at most memory_max_of(frame) for lists, and the frame's own bytes for
// text.
#pragma once

#include "protocol/limits.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

namespace gristmill::protocol {

// So many bytes per byte are what a list of the smallest outcomes needs, of which nothing is said
// but whose they are; no other struct of ours needs more.
constexpr std::size_t memory_max_of(std::size_t frame_bytes) {
  return std::min(64 * limits::kib + 32 * frame_bytes, 32 * limits::mib);
}

// Every method returns whether it went well; after the first that did not, fault() says why.
class MsgpackReader {
public:
  explicit MsgpackReader(std::string_view bytes)
      : bytes_{bytes}, memory_left_{memory_max_of(bytes.size())} {}

  [[nodiscard]] bool natural(std::uint64_t& value, std::uint64_t max);
  [[nodiscard]] bool integer(std::int64_t& value);
  [[nodiscard]] bool boolean(bool& value);
  [[nodiscard]] bool text(std::string_view& value, std::size_t bytes_max);
  [[nodiscard]] bool opaque(std::string_view& value, std::size_t bytes_max);

  // A container's head; its elements or pairs follow, then leave().
  [[nodiscard]] bool array(std::uint32_t& count, std::size_t element_bytes);
  [[nodiscard]] bool map(std::uint32_t& count);
  void leave() { --depth_; }

  [[nodiscard]] bool skip(); // one value with all that it contains
  [[nodiscard]] bool end();  // nothing may follow

  // What is being read, for the fault's sentence.
  void reading(std::string_view key) { key_ = key; }
  bool fail(std::string_view what); // false
  const std::string& fault() const { return fault_; }

private:
  enum class Kind : std::uint8_t {
    none, // an extension, or a byte that msgpack does not use: refused
    nil,
    boolean,
    natural,
    negative,
    real,
    text,
    opaque,
    array,
    map,
  };
  struct Token {
    Kind kind = Kind::none;
    std::uint64_t number = 0; // the value in two's complement, or the count of elements or pairs
    std::string_view body;    // of text and opaque
  };
  struct Lead {
    Kind kind;
    std::uint8_t width;
  };
  static const Lead leads[32];

  bool next(Token& token);
  bool next(Token& token, Kind wanted);
  bool next_wide(Token& token, std::uint8_t first);
  bool next_body(Token& token);
  bool body(std::string_view& value, Kind wanted, std::size_t bytes_max);
  bool enter(std::uint64_t elements, std::uint64_t most);
  std::size_t left() const { return bytes_.size() - at_; }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::size_t memory_left_;
  std::uint32_t depth_ = 0;
  std::string_view key_;
  std::string fault_;
};

} // namespace gristmill::protocol
