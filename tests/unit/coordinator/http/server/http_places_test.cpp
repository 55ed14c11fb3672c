// Which connections keep their places, and which must go: limits, and what is just inside of them.
#include "coordinator/http/server/connections.hpp"
#include "coordinator/http/server/places.hpp"

#include <arpa/inet.h>
#include <catch2/catch.hpp>
#include <netinet/in.h>

namespace http_places_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace std::chrono_literals;

namespace {

HttpPlacesOptions small() {
  HttpPlacesOptions options;
  options.connections_max = 2;
  options.reserved = 1;
  options.per_address_max = 2;
  return options;
}

const Time start = Time{} + 1h;

std::vector<int> ids_of(const std::vector<HttpPlaces::Overdue>& overdue) {
  std::vector<int> ids;
  for (const auto& one : overdue) ids.push_back(one.id);
  return ids;
}

std::string address_of(const char* text) {
  sockaddr_in v4{};
  if (::inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    return coordinator::address_of(reinterpret_cast<const sockaddr*>(&v4));
  }
  sockaddr_in6 v6{};
  REQUIRE(::inet_pton(AF_INET6, text, &v6.sin6_addr) == 1);
  v6.sin6_family = AF_INET6;
  return coordinator::address_of(reinterpret_cast<const sockaddr*>(&v6));
}

} // namespace

TEST_CASE("a connection has its time for a head, and no more") {
  HttpPlaces places{HttpPlacesOptions{}};
  places.came(1, "", start);
  CHECK(places.overdue(start + 10s - 1ns).empty());
  const auto overdue = places.overdue(start + 10s);
  REQUIRE(ids_of(overdue) == std::vector{1});
  CHECK(overdue[0].asked);
  CHECK(places.overdue(start + 11s).empty()); // told once
  places.left(1);
}

TEST_CASE("between two requests a connection may rest, and then has its time for a head") {
  HttpPlaces places{HttpPlacesOptions{}};
  places.came(1, "", start);
  CHECK(places.has_head(1, false, start + 9s));
  places.waits_for_us(1);
  CHECK(places.overdue(start + 1h).empty()); // it is our turn
  places.answered(1, start + 1h);
  CHECK(places.overdue(start + 1h + 40s - 1ns).empty());
  const auto overdue = places.overdue(start + 1h + 40s);
  REQUIRE(ids_of(overdue) == std::vector{1});
  CHECK_FALSE(overdue[0].asked);
}

TEST_CASE("a body keeps its rate or goes") {
  HttpPlaces places{HttpPlacesOptions{}};
  places.came(1, "", start);
  places.has_head(1, false, start);
  places.brought(1, 30 * 1024 - 1, start + 29s);
  CHECK(places.overdue(start + 30s - 1ns).empty());
  SECTION("a byte too few") {
    CHECK(ids_of(places.overdue(start + 30s)) == std::vector{1});
  }
  SECTION("enough: the next piece has its own time") {
    places.brought(1, 1, start + 29s);
    CHECK(places.overdue(start + 59s - 1ns).empty());
    CHECK(ids_of(places.overdue(start + 59s)) == std::vector{1});
  }
  SECTION("its end") {
    places.waits_for_us(1);
    CHECK(places.overdue(start + 1h).empty());
  }
}

TEST_CASE("while a body waits for us it has all time, and then that of a new piece") {
  HttpPlaces places{HttpPlacesOptions{}};
  places.came(1, "", start);
  places.has_head(1, false, start);
  places.brought(1, 30 * 1024 - 1, start + 29s);
  places.waits_for_us(1);
  CHECK(places.overdue(start + 1h).empty());
  CHECK(places.in_body().empty());
  CHECK(places.under_way() == 1);
  places.goes_on(1, start + 1h);
  CHECK(places.in_body() == std::vector{1});
  places.brought(1, 1, start + 1h + 29s); // of a new piece: no more is left of the last one
  CHECK(places.overdue(start + 1h + 30s - 1ns).empty());
  CHECK(ids_of(places.overdue(start + 1h + 30s)) == std::vector{1});
  places.answered(1, start + 1h);
  places.goes_on(1, start + 1h); // too late: it is another request's turn
  CHECK(places.in_body().empty());
}

TEST_CASE("when places run out, whoever is longest without a head makes room") {
  HttpPlaces places{small()};
  CHECK_FALSE(places.came(1, "", start));
  CHECK_FALSE(places.came(2, "", start + 1s));
  CHECK_FALSE(places.came(3, "", start + 2s)); // as many as there are places
  places.has_head(1, false, start + 2s);
  CHECK(places.came(4, "", start + 3s) == 2);
  CHECK(places.came(5, "", start + 3s) == 3); // 2 has been told already
  CHECK(places.size() == 3);
  places.left(2);
  places.left(3);
  places.has_head(4, false, start + 4s);
  places.waits_for_us(4);
  CHECK(places.came(6, "", start + 4s) == 5);
  places.left(5);
  places.answered(4, start + 5s); // and rests
  CHECK(places.came(7, "", start + 6s) == 6);
  places.left(6);
  CHECK(places.came(8, "", start + 7s) == 4);
}

TEST_CASE("who finds everybody at work goes itself") {
  HttpPlaces places{small()};
  for (int id : {1, 2, 3}) {
    places.came(id, "", start);
    places.has_head(id, id == 3, start);
  }
  CHECK(places.came(4, "", start) == 4);
}

TEST_CASE("there are so many places for requests, and more for what is always answered") {
  HttpPlaces places{small()};
  for (int id : {1, 2, 3}) places.came(id, "", start);
  CHECK(places.has_head(1, false, start));
  CHECK(places.has_head(2, false, start));
  CHECK_FALSE(places.has_head(3, false, start));
  places.answered(3, start);
  CHECK(places.has_head(3, true, start));
  CHECK(places.under_way() == 2);
  places.waits_for_us(2);
  places.answered(2, start);
  places.answered(3, start);
  CHECK(places.under_way() == 1);
  CHECK(places.has_head(3, false, start));
  places.left(3);
  places.left(1);
  CHECK(places.under_way() == 0);
  CHECK(places.has_head(2, false, start));
}

TEST_CASE("who brings what nobody wants has no place of its own") {
  HttpPlaces places{small()};
  places.came(1, "", start);
  CHECK(places.has_head(1, false, start));
  CHECK(places.in_body() == std::vector{1});
  places.not_wanted(1, start + 1s);
  CHECK(places.under_way() == 0);
  CHECK(places.in_body().empty());
  places.came(2, "", start + 2s);
  places.came(3, "", start + 3s);
  CHECK(places.came(4, "", start + 4s) == 1);
  places.waits_for_us(1);
  places.answered(1, start + 4s);
  places.left(1);
  CHECK(places.under_way() == 0);
}

TEST_CASE("one other machine has so many connections, this one any number") {
  HttpPlaces places{small()};
  places.came(1, "192.0.2.1", start);
  CHECK(places.may_come("192.0.2.1"));
  places.came(2, "192.0.2.1", start);
  CHECK_FALSE(places.may_come("192.0.2.1"));
  CHECK(places.may_come("192.0.2.2"));
  places.came(3, "", start);
  places.came(4, "", start);
  places.came(5, "", start);
  CHECK(places.may_come(""));
  places.left(2);
  CHECK(places.may_come("192.0.2.1"));
  HttpPlacesOptions unlimited = small();
  unlimited.per_address_max = 0;
  HttpPlaces any{unlimited};
  for (int id = 0; id < 3; ++id) any.came(id, "192.0.2.1", start);
  CHECK(any.may_come("192.0.2.1"));
}

TEST_CASE("a peer is this machine, a host, or a network of IPv6") {
  for (const char* local : {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"}) {
    INFO(local);
    CHECK(address_of(local).empty());
  }
  CHECK(address_of("192.0.2.1") == "192.0.2.1");
  CHECK(address_of("::ffff:192.0.2.1") == "192.0.2.1");
  CHECK(address_of("2001:db8:1:2:3:4:5:6") == address_of("2001:db8:1:2::9"));
  CHECK(address_of("2001:db8:1:2::9") != address_of("2001:db8:1:3::9"));
  CHECK(coordinator::address_of(nullptr).empty());
}

} // namespace http_places_test
