// BODY SOURCE: the body of an answer that comes piece by piece. It is produced elsewhere; the HTTP
// server takes out what there is. Invariant: nothing here blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace gristmill::coordinator {

class BodySource {
public:
  virtual ~BodySource() = default;
  virtual std::optional<std::uint64_t> bytes() const { return std::nullopt; } // in all, if known
  // Up to `most` bytes; 0 = there are none yet, nothing = it is over.
  virtual std::optional<std::size_t> read(char* to, std::size_t most) = 0;
  // Calls `ready` once, on any thread, when read() would not say 0; at once if that is so already.
  virtual void when_ready(std::function<void()> ready) = 0;
  virtual void finish() = 0;  // the server is about to end: so does what has no end of its own
  virtual void abandon() = 0; // the client is gone
};

} // namespace gristmill::coordinator
