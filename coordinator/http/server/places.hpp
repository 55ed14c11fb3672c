// HTTP PLACES: which of the server's connections keep their place, and which must give it up. A
// connection has no place of its own until a whole head has come: those without one share what is
// free, and the one that has waited longest makes room for the next. Plain. Invariant: at most
// connections_max requests are under way, so that a request that is always answered (/healthz,
// /readyz) finds one of the reserved places.
#pragma once

#include "actors/kit/time.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gristmill::coordinator {

struct HttpPlacesOptions {
  std::size_t connections_max = 512; // with a request under way
  std::size_t reserved = 64;         // besides: for new connections, and what is always answered
  std::size_t per_address_max = 128; // of one peer that is not this machine; 0 = any number
  std::chrono::milliseconds head{10'000}; // from the connection, or the end of `idle`
  std::chrono::milliseconds idle{30'000}; // between a request and the head of the next
  // A body brings this much in each such time, or its end.
  std::chrono::milliseconds body{30'000};
  std::uint64_t body_bytes_min = 30 * 1024;
};

class HttpPlaces {
public:
  using Id = int; // the connection's socket

  explicit HttpPlaces(HttpPlacesOptions options) : options_{options} {}

  // False: its address has as many as it may.
  bool may_come(std::string_view address) const;
  // `address`: empty for this machine's own. Who must go for it: perhaps itself.
  std::optional<Id> came(Id id, std::string address, Time now);
  // Its next request's head is whole. False: there is no place for another request.
  bool has_head(Id id, bool is_always_answered, Time now);
  void brought(Id id, std::uint64_t body_bytes, Time now);
  // Its body is read to the end for politeness only: it has no place of its own while it lasts.
  void not_wanted(Id id, Time now);
  // No more is asked of the client until goes_on(), which gives it the time of a new piece, or
  // answered().
  void waits_for_us(Id id);
  void goes_on(Id id, Time now);
  void answered(Id id, Time now);
  void left(Id id);

  // Those whose time is over, each once; `asked`: they have begun a request, as far as is known.
  struct Overdue {
    Id id;
    bool asked;
  };
  std::vector<Overdue> overdue(Time now);
  // Those that owe the rest of a body: their peer may be gone.
  std::vector<Id> in_body() const;
  std::size_t size() const { return connections_.size() - leaving_; }
  std::size_t under_way() const { return under_way_; }

private:
  enum class State : std::uint8_t { head, body, ours };
  struct Connection {
    std::string address;
    State state = State::head;
    bool reserved = false; // its request takes a place of the reserve
    bool leaves = false;   // it has been told to go
    Time since{};          // … in this state, or in this piece of its body
    Duration more{};       // time beyond the head's: it had a request before
    std::uint64_t bytes = 0;
  };

  void leave(Connection& connection);

  HttpPlacesOptions options_;
  std::map<Id, Connection> connections_;
  std::map<std::string, std::size_t, std::less<>> addresses_;
  std::size_t under_way_ = 0, leaving_ = 0;
};

} // namespace gristmill::coordinator
