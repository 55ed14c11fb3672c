// CONNECTION BOOK: how many connections stand to each host and how many of them are free, and
// therefore which calls may go now and on which shard.
//
// A call that can take over a free connection goes at once, on the lowest shard that has one, so
// that connections are reused and high shards fall idle. A call that needs a new connection goes
// only while few others are connecting: in a burst of handshakes permits would run out before
// their calls could be sent. libcurl picks the connections itself and may decide otherwise; it
// says so through the sockets it opens and closes, and the counts follow.
//
// Required of the caller: every seat taken is left once. Invariant: connecting() is the number of
// seats that wait for a new connection.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::worker {

// "host:port" of a URL as a person would name it: no scheme, no user, no path.
std::string_view host_and_port(std::string_view url);

class ConnectionBook {
public:
  // libcurl walks all connections of a multi handle for every call, so a shard stays small.
  static constexpr std::uint32_t shard_calls_max = 250;
  static constexpr std::uint32_t connecting_max = 32;
  // A host that does not answer must leave room for the others.
  static constexpr std::uint32_t connecting_per_host_max = 24;
  static constexpr std::int64_t streams_per_connection = 100; // libcurl's own bound for HTTP/2

  // A call's place. `host` is set by the owner, the rest by the book.
  struct Seat {
    std::uint32_t host = 0, shard = 0;
    bool connecting = false;
    int fd = -1, other_fd = -1; // opened last for it, and before: two addresses may race
    std::uint64_t serial = 0;   // tells its sockets from later ones of the same number
  };

  std::uint32_t host_of(std::string_view url); // 0, 1, 2, … in the order of appearance

  bool take(Seat& seat); // false: not now
  void leave(Seat& seat);

  void socket_opened(Seat& seat, int fd);
  void connected(Seat& seat); // it has a connection, new or not, and is about to be sent
  void hung_up(int fd);       // by the server, while the connection was free
  void socket_closed(int fd);

  void multiplexes(std::uint32_t host); // its connections carry many calls at a time
  std::uint32_t connecting() const { return connecting_; }

private:
  struct Slot { // one host on one shard
    std::int64_t standing = 0, used = 0;
  };
  struct Host {
    std::vector<Slot> slots; // by shard
    std::uint32_t connecting = 0;
    std::int64_t streams = 1;
  };
  struct Socket {
    std::uint32_t host = 0, shard = 0;
    std::uint64_t serial = 0; // of the seat that opened it
    bool open = false, standing = false;
  };

  Slot& slot(std::uint32_t host, std::uint32_t shard);
  Socket* socket(int fd);
  Socket* own_socket(const Seat& seat);
  void set_connecting(Seat& seat, bool connecting);

  std::map<std::string, std::uint32_t, std::less<>> host_ids_;
  std::vector<Host> hosts_;
  std::vector<std::uint32_t> calls_; // by shard
  std::vector<Socket> sockets_;      // by descriptor
  std::uint32_t connecting_ = 0;
  std::uint64_t serial_ = 0;
};

} // namespace gristmill::worker
