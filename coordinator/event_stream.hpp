// EVENT STREAM: text that goes to one client as it comes. Whoever makes it pushes on any thread;
// the HTTP server takes it out on its own. Invariant: it holds at most bytes_max, so a client that
// reads too slowly loses its stream and takes nobody's memory or time.
#pragma once

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

class EventStream {
public:
  explicit EventStream(std::size_t bytes_max = 4u << 20) : bytes_max_{bytes_max} {}

  // Beyond bytes_max the stream ends instead.
  void push(std::string_view text);
  void finish(); // what was pushed before is still sent
  bool is_over() const;
  std::size_t room() const; // bytes that it would still keep

  // Of the server: up to `most` bytes; 0 = there are none yet, nothing = it is over.
  std::optional<std::size_t> read(char* to, std::size_t most);
  // Calls `ready` once, on any thread, when read() would not say 0; at once if that is so already.
  void when_ready(std::function<void()> ready);
  void abandon(); // the client is gone

private:
  void wake(std::unique_lock<std::mutex> lock);

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::string text_;
  bool over_ = false;
  std::function<void()> ready_;
};

} // namespace gristmill::coordinator
