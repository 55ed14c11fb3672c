// Streams: what is pushed on one thread reaches the client, in order, and nobody waits for a slow
// one.
#include "coordinator/http/server/event_stream.hpp"
#include "coordinator/http/server/server.hpp"
#include "tests/unit/coordinator/http/server/raw_http.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <thread>

namespace event_stream_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using test::RawHttp;

namespace {

std::string read_all(EventStream& stream) {
  std::string all;
  std::array<char, 7> piece{};
  while (const auto bytes = stream.read(piece.data(), piece.size())) {
    if (*bytes == 0) return all;
    all.append(piece.data(), *bytes);
  }
  return all + "|";
}

// Serves one stream to whoever comes.
struct Served {
  std::shared_ptr<EventStream> stream = std::make_shared<EventStream>();
  std::unique_ptr<HttpServer> server;

  Served() {
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    options.idle_timeout = std::chrono::seconds{1}; // the connection outlives its stream
    options.open_task = [this](const HttpRequest&) {
      HttpResponse response;
      response.stream = stream;
      response.content_type = "text/event-stream";
      return answered(std::move(response));
    };
    auto opened = HttpServer::open(std::move(options));
    REQUIRE(opened.has_value());
    server = std::move(*opened);
  }
  RawHttp client() const {
    RawHttp client{server->url()};
    const auto head = client.call("GET", "/");
    REQUIRE(head.status == 200);
    CHECK(RawHttp::header(head, "Content-Type") == "text/event-stream");
    return client;
  }
};

} // namespace

TEST_CASE("a stream gives what was pushed, then its end") {
  EventStream stream;
  CHECK(read_all(stream).empty());
  stream.push("one, two, ");
  stream.push("three");
  CHECK(read_all(stream) == "one, two, three");
  stream.push("four");
  stream.finish();
  stream.push("five");
  CHECK(stream.is_over());
  CHECK(read_all(stream) == "four|");
}

TEST_CASE("a stream keeps as many bytes as it may, and ends with one more") {
  EventStream stream{10};
  stream.push("123456789");
  stream.push("0");
  CHECK_FALSE(stream.is_over());
  stream.push("1");
  CHECK(stream.is_over());
  CHECK(read_all(stream) == "1234567890|");
}

TEST_CASE("who waits for a stream is woken once, by text or by its end, or at once") {
  EventStream stream;
  int woken = 0;
  const auto count = [&woken] { ++woken; };
  stream.when_ready(count);
  CHECK(woken == 0);
  stream.push("x");
  stream.push("y");
  CHECK(woken == 1);
  stream.when_ready(count);
  CHECK(woken == 2);
  CHECK(read_all(stream) == "xy");
  stream.when_ready(count);
  stream.finish();
  CHECK(woken == 3);
  stream.when_ready(count);
  CHECK(woken == 4);
}

TEST_CASE("a client hears each piece when it is pushed, whoever pushes it") {
  const Served served;
  RawHttp client = served.client();
  for (const std::string piece : {"first\n", "second\n"}) {
    std::thread{[&] { served.stream->push(piece); }}.join();
    CHECK(client.receive_until(piece).find(piece) != std::string::npos);
  }
  const std::string large(1u << 20, 'x');
  served.stream->push(large + "end\n");
  CHECK(client.receive_until("end\n").size() > large.size());
  served.stream->finish();
  CHECK(client.receive_until("never").find("0\r\n\r\n") != std::string::npos);
}

TEST_CASE("a client that goes away ends its stream with the next piece") {
  const Served served;
  served.client().close();
  while (!served.stream->is_over()) {
    served.stream->push("x");
    std::this_thread::yield();
  }
}

TEST_CASE("a server that drains or stops ends its streams") {
  Served served;
  RawHttp client = served.client();
  served.stream->push("last\n");
  SECTION("drains") {
    served.server->drain(std::chrono::minutes{1});
    CHECK(client.receive_until("never").find("last\n") != std::string::npos);
  }
  SECTION("stops") {
    served.server->stop(); // at once: what was not sent is not sent
    client.receive_until("never");
  }
  CHECK(served.stream->is_over());
}

} // namespace event_stream_test
