// EVENT STREAM: text that is sent to one client as it comes. Producers push on any thread; the HTTP
// server takes it out on its own. Invariant: it holds at most bytes_max, so a client that reads too
// slowly loses its stream and costs nobody else memory or time.
#pragma once

#include "coordinator/http/server/body_source.hpp"

#include <cstddef>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace gristmill::coordinator {

class EventStream final : public BodySource {
public:
  explicit EventStream(std::size_t bytes_max = 4u << 20) : bytes_max_{bytes_max} {}

  // Beyond bytes_max the stream ends instead.
  void push(std::string_view text);
  void finish() override; // what was pushed before is still sent
  bool is_over() const;
  std::size_t room() const; // bytes that it would still keep

  // Of the server.
  std::optional<std::size_t> read(char* to, std::size_t most) override;
  void when_ready(std::function<void()> ready) override;
  void abandon() override;

private:
  void wake(std::unique_lock<std::mutex> lock);

  const std::size_t bytes_max_;
  mutable std::mutex mutex_;
  std::string text_;
  bool over_ = false;
  std::function<void()> ready_;
};

} // namespace gristmill::coordinator
