// CURL SHARD: one libcurl multi handle with its connections, driven by the client's epoll.
// Why several: libcurl walks all connections of a multi handle when a call ends, so its cost per
// call grows with them. Invariant: libcurl's callbacks only note what it wants; the multi handle is
// never entered from inside one.
#pragma once

#include "actors/kit/time.hpp"
#include "worker/http/curl_call.hpp"

#include <cstdint>
#include <vector>

namespace gristmill::worker {

// The DNS and TLS session cache of all shards of one client's thread.
class CurlShare {
public:
  CurlShare();
  ~CurlShare();
  CurlShare(const CurlShare&) = delete;
  CurlShare& operator=(const CurlShare&) = delete;
  void* handle() const { return handle_; }

private:
  void* handle_;
};

class CurlShard {
public:
  struct Finished {
    CurlCall* call;
    int result; // a CURLcode
  };

  CurlShard(std::uint32_t index, SocketWatch& watch);
  ~CurlShard();
  CurlShard(const CurlShard&) = delete;
  CurlShard& operator=(const CurlShard&) = delete;

  void add(CurlCall& call);    // call.easy is prepared; its turn comes with the timer
  void remove(CurlCall& call); // at its end, or to abort it

  Time timer_at() const { return timer_at_; }
  void on_timer();
  void on_socket(const SocketWatch::Event& event);
  void take_finished(std::vector<Finished>& finished); // appends

  // Called by libcurl.
  void want_socket(int fd, bool read, bool write) { watch_.want(fd, index_, read, write); }
  void want_timer(long after_ms);

private:
  std::uint32_t index_;
  SocketWatch& watch_;
  void* multi_;
  Time timer_at_ = never;
};

} // namespace gristmill::worker
