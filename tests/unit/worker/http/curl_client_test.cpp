#include "protocol/ids.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"

#include <cstdlib>
#include <ctime>

namespace curl_client_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Connection = SocketServer::Connection;
using Request = SocketServer::Request;
using std::chrono::seconds;

TEST_CASE("a call is a POST of JSON under its attempt's id, and its answer comes whole") {
  SocketServer server{answer_all};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.attempt == AttemptId::of(Epoch{1}, 1, 1));
  CHECK(ended.http_status == 200);
  CHECK(ended.body == R"({"ok":true})");
  CHECK(ended.code.empty());
  CHECK(ended.latency_us > 0);

  const Request request = server.requests().at(0);
  CHECK_THAT(request.head, Catch::StartsWith("POST /v1/chat/completions HTTP/1.1\r\n"));
  CHECK(request.body == R"({"model":"m"})");
  CHECK(request.header("content-type") == "application/json");
  CHECK(request.header("accept") == "application/json");
  CHECK(request.header("user-agent") == "gristmill/0.1");
  CHECK(request.header("x-request-id") == to_string(ended.attempt));
  CHECK(request.header("idempotency-key") == to_string(ended.attempt));
  CHECK(request.header("accept-encoding").empty());
  CHECK(request.header("authorization").empty());
}

TEST_CASE("a large body is sent without asking for permission first") {
  SocketServer server{answer_all};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.body.assign(4 * limits::mib, 'x');
  CHECK(calls.run(std::move(call)).end == CallEnd::answered);
  CHECK(server.requests().at(0).body.size() == 4 * limits::mib);
  CHECK(server.requests().at(0).header("expect").empty());
}

TEST_CASE("calls one after the other share one connection") {
  SocketServer server{answer_all};
  Calls calls;
  for (int i = 0; i < 20; ++i)
    REQUIRE(calls.run(calls.call(server.url())).end == CallEnd::answered);
  CHECK(server.connections() == 1);
}

TEST_CASE("headers that somebody reads come with lower-case names, others do not come") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.send("HTTP/1.1 100 Continue\r\nX-Request-Id: interim\r\n\r\n");
    connection.answer("{}", "Retry-After:  7 \r\nX-RateLimit-Remaining-Tokens: 12\r\n"
                            "Anthropic-RateLimit-Requests-Limit: 5\r\nX-Should-Retry: false\r\n"
                            "retry-after-ms: 1\r\nRequest-Id:\r\nSet-Cookie: a=b\r\n");
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(header_of(ended, "content-type") == "application/json");
  CHECK(header_of(ended, "retry-after") == "7");
  CHECK(header_of(ended, "retry-after-ms") == "1");
  CHECK(header_of(ended, "x-should-retry") == "false");
  CHECK(header_of(ended, "x-ratelimit-remaining-tokens") == "12");
  CHECK(header_of(ended, "anthropic-ratelimit-requests-limit") == "5");
  CHECK(header_of(ended, "request-id").empty());
  CHECK(header_of(ended, "x-request-id") == "(absent)");
  CHECK(header_of(ended, "set-cookie") == "(absent)");
}

TEST_CASE("times that a server names as moments are measured against the wall clock") {
  struct Row {
    const char* header;
    const char* format; // of strftime, for a moment; nullptr = seconds from now
  };
  const auto row = GENERATE(Row{"Retry-After", nullptr}, Row{"Retry-After", "%a, %d %b %Y %T GMT"},
                            Row{"X-RateLimit-Reset-Requests", nullptr},
                            Row{"X-RateLimit-Reset-Requests", "%Y-%m-%dT%H:%M:%SZ"},
                            Row{"X-RateLimit-Reset-Requests", "%s"});
  constexpr std::int64_t wait_s = 90;
  SocketServer server{[&](Connection& connection) {
    Request request;
    connection.read(request);
    std::string value = std::to_string(wait_s);
    if (row.format != nullptr) {
      const std::time_t at = std::time(nullptr) + wait_s;
      char text[64];
      std::strftime(text, sizeof text, row.format, ::gmtime(&at));
      value = text;
    }
    connection.send("HTTP/1.1 429 Wait\r\nContent-Length: 2\r\nX-RateLimit-Remaining-Requests: 0"
                    "\r\n" +
                    std::string{row.header} + ": " + value + "\r\n\r\n{}");
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  const auto reply = openai::read_reply(openai::Api::chat, ended.http_status, ended.headers,
                                        ended.body, calls.unix_now());
  const bool reset = std::string_view{row.header} != "Retry-After";
  if (reset) REQUIRE(reply.limits.size() == 1);
  const std::int64_t wait_ms = reset ? reply.limits.front().reset_ms : reply.retry_after_ms;
  // However long the answer was on its way, it cannot have come before it was sent.
  CHECK(wait_ms <= wait_s * 1'000);
  CHECK(wait_ms > 0);
}

TEST_CASE("the key that a call names is sent as its Authorization") {
  SocketServer server{answer_all};
  Calls calls;
  ::setenv("GRISTMILL_TEST_KEY", "sk-1", 1);
  HttpCall call = calls.call(server.url());
  call.api_key_env = "GRISTMILL_TEST_KEY";
  CHECK(calls.run(std::move(call)).end == CallEnd::answered);
  ::unsetenv("GRISTMILL_TEST_KEY");
  CHECK(server.requests().at(0).header("authorization") == "Bearer sk-1");
  CHECK(calls.run(calls.call(server.url())).end == CallEnd::answered);
  CHECK(server.requests().at(1).header("authorization").empty());
}

TEST_CASE("a call whose key is missing fails here and is not sent") {
  SocketServer server{answer_all};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.api_key_file = "/nowhere/key";
  const CallEnded ended = calls.run(std::move(call));
  CHECK(ended.end == CallEnd::failed);
  CHECK(ended.code == "no_api_key");
  CHECK_THAT(ended.message, Catch::Contains("/nowhere/key") && Catch::Contains("worker"));
  CHECK(server.connections() == 0);
}

TEST_CASE("an answer in chunks with trailers comes whole") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
                    "X-Request-Id: trailing\r\n\r\n");
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.body == "{}");
}

TEST_CASE("an answer of just the bound comes whole") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.answer(std::string(limits::reply_bytes_max, 'x'));
  }};
  Calls calls;
  CHECK(calls.run(calls.call(server.url())).body.size() == limits::reply_bytes_max);
}

TEST_CASE("a redirect is an answer and is not followed") {
  SocketServer elsewhere{answer_all};
  SocketServer server{[&](Connection& connection) {
    Request request;
    connection.read(request);
    connection.send("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + elsewhere.url() +
                    "\r\nContent-Length: 0\r\n\r\n");
  }};
  Calls calls;
  const CallEnded ended = calls.run(calls.call(server.url()));
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.http_status == 307);
  CHECK(elsewhere.connections() == 0);
}

TEST_CASE("a proxy in the environment gets nothing") {
  SocketServer proxy{answer_all};
  SocketServer server{answer_all};
  const std::string address = "http://127.0.0.1:" + std::to_string(proxy.port());
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"})
    ::setenv(name, address.c_str(), 1);
  Calls calls;
  CHECK(calls.run(calls.call(server.url())).end == CallEnd::answered);
  for (const char* name : {"http_proxy", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
  CHECK(proxy.connections() == 0);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("600 calls in flight at once are all answered, over more than one shard") {
  std::mutex mutex;
  std::condition_variable changed;
  std::size_t arrived = 0;
  SocketServer server{[&](Connection& connection) {
    for (Request request; connection.read(request);) {
      std::unique_lock lock{mutex};
      ++arrived;
      changed.notify_all();
      // The first answer waits until all calls are in flight.
      changed.wait_for(lock, seconds{60}, [&] { return arrived >= 600; });
      lock.unlock();
      connection.answer("{}");
    }
  }};
  Calls calls;
  for (int round = 0; round < 2; ++round) {
    std::vector<HttpCall> many;
    for (int i = 0; i < 600; ++i) many.push_back(calls.call(server.url()));
    calls.client().start(std::move(many));
    for (int i = 0; i < 600; ++i) REQUIRE(calls.next().end == CallEnd::answered);
  }
  CHECK(server.requests().size() == 1200);
  CHECK(server.connections() == 600);
}

} // namespace curl_client_test
