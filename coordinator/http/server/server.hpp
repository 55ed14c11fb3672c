// HTTP SERVER: the window to clients. It reads requests on one thread of its own, opens a task for
// each, feeds it the body in pieces, and sends what it answers, whenever and on whichever thread
// the answer comes. It knows no route and no format but that of its own refusals.
// Invariant: no client can make another wait: nothing here blocks, every size is bounded, and every
// connection has an end.
#pragma once

#include "coordinator/http/server/places.hpp"
#include "coordinator/http/server/task.hpp"
#include "protocol/result.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace gristmill::coordinator {

struct HttpServerOptions {
  std::string listen = "127.0.0.1:7412"; // HOST:PORT, [V6]:PORT; port 0 takes a free one
  HttpPlacesOptions places;
  std::size_t head_bytes_max = 8 * 1024;
  std::uint64_t discarded_bytes_max = 16u << 20; // of a body that is not wanted; then it is cut off
  std::chrono::seconds idle_timeout{30};         // without a byte either way
  std::chrono::milliseconds look_every{250};     // … for connections whose time is over
  // The longest that any answer may take, whatever its task says.
  std::chrono::milliseconds answer_within_max{disk_work_time_max};
  // Of a request without a body: one that has a place when all others are taken.
  std::function<bool(const HttpRequest&)> is_always_answered = [](const HttpRequest&) {
    return false;
  };
  // On the server's thread; must not block.
  std::function<std::unique_ptr<HttpTask>(const HttpRequest&)> open_task;
};

class HttpServer {
public:
  static Result<std::unique_ptr<HttpServer>> open(HttpServerOptions options);
  ~HttpServer();

  std::string url() const; // http://HOST:PORT, with the port that was really taken

  // New requests are refused; returns when those under way are answered, or the time is over.
  void drain(std::chrono::milliseconds at_most);
  void stop();

private:
  struct Core;
  explicit HttpServer(std::shared_ptr<Core> core) : core_{std::move(core)} {}

  std::shared_ptr<Core> core_;
};

} // namespace gristmill::coordinator
