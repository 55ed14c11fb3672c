#include "worker/http/connection_book.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace connection_book_test {

using gristmill::worker::ConnectionBook;
using gristmill::worker::host_and_port;

namespace {

using Seat = ConnectionBook::Seat;

// A call that opened its own connection and has it.
Seat connected_call(ConnectionBook& book, std::uint32_t host, int fd) {
  Seat seat{host};
  REQUIRE(book.take(seat));
  book.socket_opened(seat, fd);
  book.connected(seat);
  return seat;
}

} // namespace

TEST_CASE("a host is named without scheme, user and path") {
  CHECK(host_and_port("https://api.example.com/v1/chat") == "api.example.com");
  CHECK(host_and_port("http://user:secret@h:8080?x=/") == "h:8080");
  CHECK(host_and_port("http://[::1]:80/") == "[::1]:80");
  CHECK(host_and_port("nonsense") == "nonsense");
}

TEST_CASE("paths of one host share their connections, schemes and ports do not") {
  ConnectionBook book;
  const auto host = book.host_of("http://h:1/v1/chat/completions");
  CHECK(book.host_of("http://h:1/v1/embeddings") == host);
  CHECK(book.host_of("http://h:2/v1/embeddings") != host);
  CHECK(book.host_of("https://h:1/v1/embeddings") != host);
}

TEST_CASE("a call takes over the connection that an ended call left") {
  ConnectionBook book;
  const auto host = book.host_of("http://h");
  Seat first = connected_call(book, host, 5);
  Seat second{host};
  REQUIRE(book.take(second));
  CHECK(second.connecting);
  book.leave(second);
  book.leave(first);
  REQUIRE(book.take(second));
  CHECK_FALSE(second.connecting);
}

TEST_CASE("a connection that the server closed is not free") {
  ConnectionBook book;
  const auto host = book.host_of("http://h");
  Seat first = connected_call(book, host, 5);
  book.leave(first);
  book.hung_up(5);
  book.socket_closed(5);
  Seat next{host};
  REQUIRE(book.take(next));
  CHECK(next.connecting);
}

TEST_CASE("a call whose free connection was gone counts as connecting from then on") {
  ConnectionBook book;
  const auto host = book.host_of("http://h");
  Seat first = connected_call(book, host, 5);
  book.leave(first);
  Seat next{host};
  REQUIRE(book.take(next));
  CHECK(book.connecting() == 0);
  book.socket_closed(5);
  book.socket_opened(next, 6);
  CHECK(book.connecting() == 1);
  book.connected(next);
  CHECK(book.connecting() == 0);
  book.leave(next);
  REQUIRE(book.take(next));
  CHECK_FALSE(next.connecting);
}

TEST_CASE("of two sockets that raced for a call, the one that is left becomes its connection") {
  ConnectionBook book;
  const auto host = book.host_of("http://h");
  Seat seat{host};
  REQUIRE(book.take(seat));
  book.socket_opened(seat, 5);
  book.socket_opened(seat, 6);
  book.socket_closed(6);
  Seat other{host};
  REQUIRE(book.take(other));
  book.socket_opened(other, 6);
  book.connected(seat);
  book.leave(seat);
  Seat next{host};
  REQUIRE(book.take(next));
  CHECK_FALSE(next.connecting);
  Seat after{host};
  REQUIRE(book.take(after));
  CHECK(after.connecting);
}

TEST_CASE("one host leaves room for the handshakes of another, and both together are bounded") {
  ConnectionBook book;
  const auto silent = book.host_of("http://silent");
  const auto other = book.host_of("http://other");
  std::vector<Seat> seats;
  const auto take_all = [&](std::uint32_t host) {
    std::uint32_t taken = 0;
    for (Seat seat{host}; book.take(seat); seat = Seat{host}) {
      seats.push_back(seat);
      ++taken;
    }
    return taken;
  };
  CHECK(take_all(silent) == ConnectionBook::connecting_per_host_max);
  CHECK(take_all(other) ==
        ConnectionBook::connecting_max - ConnectionBook::connecting_per_host_max);
  for (Seat& seat : seats) book.leave(seat);
  CHECK(book.connecting() == 0);
  CHECK(take_all(other) == ConnectionBook::connecting_per_host_max);
}

TEST_CASE("a second shard is used when the first is full, and left alone when it is not") {
  ConnectionBook book;
  const auto host = book.host_of("http://h");
  std::vector<Seat> seats;
  int fd = 3;
  for (std::uint32_t i = 0; i < ConnectionBook::shard_calls_max; ++i) {
    seats.push_back(connected_call(book, host, fd++));
    REQUIRE(seats.back().shard == 0);
  }
  seats.push_back(connected_call(book, host, fd++));
  CHECK(seats.back().shard == 1);
  for (Seat& seat : seats) book.leave(seat);
  Seat next{host};
  REQUIRE(book.take(next));
  CHECK(next.shard == 0);
  CHECK_FALSE(next.connecting);
}

TEST_CASE("a connection that multiplexes carries many calls") {
  ConnectionBook book;
  const auto host = book.host_of("https://h");
  connected_call(book, host, 5);
  book.multiplexes(host);
  for (int i = 1; i < 100; ++i) {
    Seat seat{host};
    REQUIRE(book.take(seat));
    REQUIRE_FALSE(seat.connecting);
  }
  Seat one_more{host};
  REQUIRE(book.take(one_more));
  CHECK(one_more.connecting);
}

} // namespace connection_book_test
