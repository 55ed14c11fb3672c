// Who is let in by what a head says: each rule with what just passes it and what just does not.
#include "coordinator/http/server/door.hpp"

#include <catch2/catch.hpp>

namespace http_door_test {

using namespace gristmill::coordinator;

namespace {

HttpHeaders headers_of(std::initializer_list<std::pair<const char*, const char*>> lines) {
  HttpHeaders headers;
  for (const auto& [name, value] : lines) headers.add(name, value);
  return headers;
}

int status(const std::optional<HttpRefusal>& refusal) {
  return refusal ? refusal->status : 0;
}

int with_host(const HttpDoor& door, const char* host) {
  return status(door.why_refused(headers_of({{"Host", host}})));
}

const HttpDoor loopback{{false, "127.0.0.2:7412", {}}};

} // namespace

TEST_CASE("the name of a Host stands before its port") {
  CHECK(host_of("localhost") == "localhost");
  CHECK(host_of("LocalHost:7412") == "localhost");
  CHECK(host_of("[::1]:7412") == "[::1]");
  CHECK(host_of("[FE80::1]") == "[fe80::1]");
  CHECK(host_of("a:") == "a");
  CHECK(host_of("a:65535") == "a");
  for (const char* bad : {"a:123456", "a:b", "::1", "[::1", "[::1]x", "a:1:2", ""}) {
    INFO(bad);
    CHECK(host_of(bad).empty());
  }
}

TEST_CASE("without a token only this machine's own names are answered to") {
  for (const char* host : {"localhost", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:7412", "[::1]",
                           "[::1]:80", "127.0.0.2", "127.0.0.2:9"}) {
    INFO(host);
    CHECK(with_host(loopback, host) == 0);
  }
  for (const char* host :
       {"evil.example", "evil.example:7412", "localhost.evil.example", "localhost.", "xlocalhost",
        "127.0.0.3", "127.0.0.1.evil.example", "::1", "[::2]", "", "localhost:x", "localhost@evil",
        "user@localhost", "localhost,evil"}) {
    INFO(host);
    CHECK(with_host(loopback, host) == 403);
  }
  CHECK(status(loopback.why_refused({})) == 403); // HTTP/1.0 may come without one
  CHECK_THAT(loopback.why_refused(headers_of({{"Host", "evil\x1b.example"}}))->sentence,
             Catch::Contains("evil .example") && Catch::Contains("--http-host"));
}

TEST_CASE("two of a header that decides are refused") {
  for (const char* name : {"Host", "Origin", "Sec-Fetch-Site", "Authorization"}) {
    INFO(name);
    HttpHeaders headers = headers_of({{name, "localhost"}, {name, "localhost"}});
    if (std::string_view{name} != "Host") headers.add("host", "localhost");
    CHECK(status(loopback.why_refused(headers)) == 400);
  }
  CHECK(status(loopback.why_refused(headers_of({{"Host", "localhost"}, {"hOST", "evil"}}))) == 400);
}

TEST_CASE("with a token any name will do, until names are given") {
  const HttpDoor any{{true, "0.0.0.0:7412", {}}};
  CHECK(with_host(any, "coordinator.example") == 0);
  CHECK(status(any.why_refused({})) == 0);
  const HttpDoor named{{true, "0.0.0.0:7412", {"Coordinator.Example", "FD00::1"}}};
  CHECK(with_host(named, "coordinator.example:443") == 0);
  CHECK(with_host(named, "[fd00::1]:7412") == 0);
  CHECK(with_host(named, "127.0.0.1") == 0);
  CHECK(with_host(named, "other.example") == 403);
  const HttpDoor besides{{false, "127.0.0.1:7412", {"gristmill.test"}}};
  CHECK(with_host(besides, "gristmill.test") == 0);
  CHECK(with_host(besides, "other.test") == 403);
}

TEST_CASE("a name that clients may use is one that they can send") {
  for (const char* good :
       {"a", "Gristmill.Example", "10.0.0.7", "[fd00::7]", "fd00::7", "a_b-c.d"}) {
    INFO(good);
    CHECK(check_http_hosts({good}).has_value());
  }
  for (const char* bad :
       {"", "a:80", "http://a", "a/b", "a b", "[fd00::7]:80", "[fd00::7", "a,b"}) {
    INFO(bad);
    CHECK_FALSE(check_http_hosts({"a", bad}).has_value());
  }
}

TEST_CASE("an Origin must be the request's own") {
  const HttpDoor with_token{{true, "0.0.0.0:7412", {}}};
  const auto from = [](const HttpDoor& door, const char* host, const char* origin) {
    return status(door.why_refused(headers_of({{"Host", host}, {"Origin", origin}})));
  };
  for (const HttpDoor* door : {&loopback, &with_token}) {
    CHECK(from(*door, "localhost:7412", "http://localhost:7412") == 0);
    CHECK(from(*door, "localhost:7412", "https://LOCALHOST:7412") == 0);
    CHECK(from(*door, "[::1]:7412", "http://[::1]:7412") == 0);
    CHECK(from(*door, "localhost", "http://localhost") == 0);
    for (const char* origin :
         {"null", "", "http://evil.example", "http://localhost", "http://localhost:7413",
          "http://127.0.0.1:7412", "ftp://localhost:7412", "http://localhost:7412/",
          "http://localhost:7412.evil.example", "http://localhost:7412 http://evil"}) {
      INFO(origin);
      CHECK(from(*door, "localhost:7412", origin) == 403);
    }
  }
  CHECK(status(with_token.why_refused(headers_of({{"Origin", "http://"}}))) == 403);
}

TEST_CASE("what a browser says of the page that asks is believed") {
  const auto from = [](const char* site) {
    return status(
        loopback.why_refused(headers_of({{"Host", "localhost"}, {"Sec-Fetch-Site", site}})));
  };
  CHECK(from("same-origin") == 0);
  CHECK(from("none") == 0);
  for (const char* site : {"cross-site", "same-site", "", "Same-Origin", "none, none"}) {
    INFO(site);
    CHECK(from(site) == 403);
  }
}

TEST_CASE("a body is of the route's type") {
  constexpr const char* json = "application/json";
  const auto of = [](const char* type, bool origin = false) {
    HttpHeaders headers = headers_of({{"Content-Type", type}});
    if (origin) headers.add("Origin", "http://localhost");
    return status(HttpDoor::why_no_body(headers, true, json));
  };
  for (const char* type : {"application/json", "Application/JSON",
                           "application/json; charset=utf-8", "application/json ;charset=UTF-8"}) {
    INFO(type);
    CHECK(of(type) == 0);
    CHECK(of(type, true) == 0);
  }
  for (const char* type : {"text/plain", "", ";application/json", "application/jsonx",
                           "application/x-www-form-urlencoded", "multipart/form-data; boundary=x",
                           "application/octet-stream", "text/plain; application/json"}) {
    INFO(type);
    CHECK(of(type) == 415);
  }
  CHECK(status(HttpDoor::why_no_body({}, true, json)) == 0);
  const HttpHeaders page = headers_of({{"Origin", "http://localhost"}});
  CHECK(status(HttpDoor::why_no_body(page, true, json)) == 415);
  CHECK(status(HttpDoor::why_no_body(page, false, json)) == 0); // a GET brings none
  CHECK(status(HttpDoor::why_no_body(headers_of({{"Content-Type", "text/plain"}}), false, json)) ==
        415);
  CHECK(status(HttpDoor::why_no_body(headers_of({{"Content-Type", json}, {"content-type", json}}),
                                     true, json)) == 400);
}

} // namespace http_door_test
