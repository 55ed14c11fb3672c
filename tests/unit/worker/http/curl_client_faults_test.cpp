#include "protocol/limits.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"

namespace curl_client_faults_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Connection = SocketServer::Connection;
using Request = SocketServer::Request;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a request that a reused connection swallowed is not sent again") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.answer("{}");
    connection.read(request);
  }};
  Calls calls;
  REQUIRE(calls.run(calls.call(server.url())).end == CallEnd::answered);
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "connection_lost");
  CHECK_THAT(ended.message, Catch::Contains("127.0.0.1:" + std::to_string(server.port())));
  CHECK(calls.run(calls.call(server.url())).end == CallEnd::answered);
  CHECK(server.requests().size() == 3);
  CHECK(server.connections() == 2);
}

TEST_CASE("a request that a reused connection swallowed does not go to another free one either") {
  std::mutex mutex;
  std::condition_variable changed;
  int arrived = 0;
  SocketServer server{[&](Connection& connection) {
    Request request;
    connection.read(request);
    {
      // Answers when both calls are here, so that they cannot share a connection.
      std::unique_lock lock{mutex};
      ++arrived;
      changed.notify_all();
      changed.wait_for(lock, seconds{60}, [&] { return arrived >= 2; });
    }
    connection.answer("{}");
    connection.read(request);
  }};
  Calls calls;
  calls.start(calls.call(server.url()));
  calls.start(calls.call(server.url()));
  REQUIRE(calls.next().end == CallEnd::answered);
  REQUIRE(calls.next().end == CallEnd::answered);
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "connection_lost");
  CHECK(server.requests().size() == 3);
  CHECK(server.connections() == 2);
}

TEST_CASE("a reset and an empty answer are lost connections, a cut one is a cut reply") {
  const auto story =
      GENERATE(as<std::string>{}, "reset", "", "HTTP/1.1 200 OK\r\nContent-Le",
               "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
  SocketServer server{[&](Connection& connection) {
    Request request;
    connection.read(request);
    if (story == "reset")
      connection.close_with_reset();
    else
      connection.send(story);
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  INFO(story << ": " << ended.message);
  CHECK(ended.end == CallEnd::failed);
  // An answer that has begun was of a server that is there.
  CHECK(ended.code == (story.starts_with("HTTP/") ? "reply_cut" : "connection_lost"));
  CHECK(ended.http_status == 0);
  CHECK(ended.body.empty());
  CHECK(server.requests().size() == 1);
}

TEST_CASE("a server that never answers ends the call by its total timeout") {
  SocketServer server{hang};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.timeout = milliseconds{100};
  const CallEnded ended = calls.run(std::move(call));
  CHECK(ended.end == CallEnd::timed_out);
  CHECK(ended.code == "timeout");
  CHECK(ended.latency_us > 0);
}

TEST_CASE("a handshake that is never answered ends the call by its connect timeout") {
  SocketServer server{answer_all, 0};
  const FullBacklog full{server};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.connect_timeout = milliseconds{100};
  const CallEnded ended = calls.run(std::move(call));
  CHECK(ended.end == CallEnd::timed_out);
  CHECK(ended.code == "connect_timeout");
}

TEST_CASE("a port where nobody listens refuses, and a name that does not exist is not resolved") {
  Calls calls;
  std::string closed_port;
  {
    SocketServer server{answer_all};
    closed_port = server.url();
  }
  const CallEnded refused = calls.run(calls.call(closed_port));
  CHECK(refused.end == CallEnd::failed);
  CHECK(refused.code == "connect_refused");
  CHECK_THAT(refused.message, Catch::Contains("127.0.0.1:"));
  const CallEnded unknown = calls.run(calls.call("http://no-such-host.invalid/v1"));
  CHECK(unknown.end == CallEnd::failed);
  CHECK(unknown.code == "resolve");
  CHECK(calls.run(calls.call("file:///etc/passwd")).code == "other");
}

TEST_CASE("more calls than may connect at once all end when every one is refused") {
  std::string closed_port;
  {
    SocketServer server{answer_all};
    closed_port = server.url();
  }
  Calls calls;
  std::vector<HttpCall> many;
  for (int i = 0; i < 300; ++i) many.push_back(calls.call(closed_port));
  calls.client().start(std::move(many));
  for (int i = 0; i < 300; ++i) REQUIRE(calls.next().code == "connect_refused");
}

TEST_CASE("an answer without end is cut off at the bound") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "100000\r\n" + std::string(limits::mib, 'x') + "\r\n";
    for (int mib = 0; mib < 64; ++mib)
      if (!connection.send(chunk)) return;
    connection.send("0\r\n\r\n");
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "reply_too_big");
  CHECK(ended.body.empty());
}

TEST_CASE("a head without end is cut off at the bound") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.send("HTTP/1.1 200 OK\r\n");
    while (connection.send("X-Filler: " + std::string(1000, 'x') + "\r\n")) {
    }
  }};
  Calls calls;
  CHECK(calls.run(calls.call(server.url())).code == "reply_too_big");
}

TEST_CASE("a header line without end is cut off and called what it is") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.send("HTTP/1.1 200 OK\r\nX-Filler: " + std::string(120 * 1024, 'x') + "\r\n\r\n");
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.code == "reply_too_big");
  CHECK_THAT(ended.message, Catch::Contains("header line of more than 100 KB"));
}

} // namespace curl_client_faults_test
