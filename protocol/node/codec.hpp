// Frames as bytes: msgpack, one array
//
//   frame   = [version, tag, epoch, session, seq, ack, body, { tag, body }]
//   body    = map of short string keys; unknown keys are skipped, missing ones keep their default
//
// A decoder for bytes from anybody: every bound of protocol/limits.hpp is enforced per field before
// anything is allocated, enums and integers are range checked, ids that make a message must be
// there, doubled keys and trailing bytes are errors. Fields and keys stand in
// protocol/node/wire_fields.hpp. An encoder for text from anywhere: what is too long for its field
// or no UTF-8 is cut or repaired, because the other side would refuse the whole frame, again and
// again. Invariant: decode(encode(frame)) == frame for a frame within the bounds, and decode never
// throws.
#pragma once

#include "protocol/node/messages.hpp"
#include "protocol/result.hpp"

#include <string>
#include <string_view>

namespace gristmill::protocol {

std::string encode(const Frame& frame);

// A frame that is written message by message.
class FrameWriter {
public:
  explicit FrameWriter(const Envelope& envelope) : envelope_{envelope} {}

  // False: the frame has as many messages as it may, or would exceed limits::frame_target_bytes,
  // which its first message alone may; it is as it was.
  bool add(const Message& message);
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

private:
  friend std::string encode(const Frame& frame);
  std::uint32_t elements() const;
  void append(const Message& message);

  const Envelope envelope_;
  std::string bytes_;
};

enum class Direction { from_worker, from_coordinator };

// Error code bad_frame: the message says which rule the bytes broke.
Result<Frame> decode(std::string_view bytes, Direction direction);

} // namespace gristmill::protocol
