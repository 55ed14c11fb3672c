// Many libcurl transfers in one thread: several multi handles on one epoll.
//
// A multi handle's cost per transfer grows with the connections it holds, so the transfers are
// spread over shards of at most 250. The engine tells libcurl about sockets and timers and reports
// each transfer that is over; `done` then usually starts the next one on the same easy handle,
// which finds the kept-alive connection of its shard.
//
// Invariant: an easy handle that was started stays untouched by the caller until `done` names it.
#pragma once

#include <curl/curl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace gristmill::bench {

class Engine {
public:
  using Done = std::function<void(CURL* easy, CURLcode code)>;

  Engine(std::size_t concurrency, Done done);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // `slot` is below the concurrency and always the same for the same easy handle.
  void start(std::size_t slot, CURL* easy);
  void run(); // until no transfer is left

private:
  struct Shard {
    Engine* engine = nullptr;
    std::uint64_t number = 0;
    CURLM* multi = nullptr;
    std::int64_t due_ms = -1; // of the steady clock; below zero: no timer
  };

  static int watch_socket(CURL*, curl_socket_t socket, int what, void* shard, void* known);
  static int set_timer(CURLM*, long wait_ms, void* shard);

  void act(Shard& shard, curl_socket_t socket, int events);
  void fire_timers();
  void wait();
  std::int64_t next_due_ms() const;

  Done done_;
  int epoll_;
  std::size_t running_ = 0;
  std::vector<std::unique_ptr<Shard>> shards_;
};

} // namespace gristmill::bench
