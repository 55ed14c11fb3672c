// HTTP CONNECTIONS: the sockets of the HTTP server's connections. It carries out what HttpPlaces
// decides: a connection that must go is shut down here, and the library sees its end and closes it.
// It also looks for peers that left in the middle of a body, because the library overlooks an end
// that comes together with the last bytes. Any thread may call all of it. Invariant: no socket is
// touched after left(), so never a new one that has the number of a closed one.
#pragma once

#include "coordinator/http/server/places.hpp"

#include <mutex>
#include <string>
#include <sys/socket.h>

namespace gristmill::coordinator {

struct HttpResponse;

class HttpConnections {
public:
  explicit HttpConnections(HttpPlacesOptions options) : places_{options} {}

  bool may_come(const sockaddr* peer) const;
  void came(int socket, const sockaddr* peer);
  void left(int socket);
  bool has_head(int socket, bool is_always_answered);
  void not_wanted(int socket);
  void brought(int socket, std::uint64_t body_bytes);
  void waits_for_us(int socket);
  void goes_on(int socket);
  void answered(int socket);
  // Answers in the library's place, which takes no answer in the middle of a body. Nothing may
  // follow it.
  void tell(int socket, const HttpResponse& answer);
  // … and ends the connection: also for requests that the library would choke on.
  void turn_away(int socket, const HttpResponse& answer);

  // To be called now and then: ends what has no more time.
  void look();

private:
  mutable std::mutex mutex_;
  HttpPlaces places_;
};

// The peer as a limit of connections counts it: empty = this machine; of IPv6 the first 64 bits,
// because a host has them all.
std::string address_of(const sockaddr* peer);

} // namespace gristmill::coordinator
