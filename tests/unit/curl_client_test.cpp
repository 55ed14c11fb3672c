#include "worker/curl_client.hpp"

#include "actors/kit/clock.hpp"
#include "protocol/limits.hpp"
#include "tests/unit/socket_server.hpp"

#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>

using namespace gristmill;
using namespace gristmill::worker;
using test::SocketServer;
using Connection = SocketServer::Connection;
using Request = SocketServer::Request;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// A client whose ended calls can be waited for.
class Calls {
 public:
  Calls() : client_{std::in_place, ModelClientEvents{[this](auto batch) { note(batch); }}} {}

  HttpCall call(const std::string& url) {
    HttpCall call;
    call.attempt = AttemptId::of(Epoch{1}, 1, ++last_);
    call.url = url;
    call.body = R"({"model":"m"})";
    call.timeout = seconds{60};
    call.connect_timeout = seconds{60};
    return call;
  }
  void start(HttpCall call) {
    std::vector<HttpCall> calls;
    calls.push_back(std::move(call));
    client_->start(std::move(calls));
  }
  CallEnded run(HttpCall call) {
    start(std::move(call));
    return next();
  }
  // The oldest end not yet taken.
  CallEnded next() {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, seconds{60}, [this] { return !ended_.empty(); }));
    CallEnded first = std::move(ended_.front());
    ended_.erase(ended_.begin());
    return first;
  }
  std::size_t untaken() {
    const std::lock_guard lock{mutex_};
    return ended_.size();
  }
  CurlClient& client() { return *client_; }
  void destroy_client() { client_.reset(); }

 private:
  void note(std::vector<CallEnded>& batch) {
    const std::lock_guard lock{mutex_};
    std::move(batch.begin(), batch.end(), std::back_inserter(ended_));
    changed_.notify_all();
  }

  std::uint64_t last_ = 0;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<CallEnded> ended_;
  std::optional<CurlClient> client_;
};

void answer_all(Connection& connection) {
  for (Request request; connection.read(request);) connection.answer(R"({"ok":true})");
}

void hang(Connection& connection) {
  Request request;
  connection.read(request);
  connection.wait_until_closed();
}

std::string header_of(const CallEnded& ended, std::string_view name) {
  for (const auto& [key, value] : ended.headers)
    if (key == name) return value;
  return "(absent)";
}

// Connections to a local port whose handshake the other side has not answered yet.
std::size_t handshakes_to(std::uint16_t port) {
  char wanted[16];
  std::snprintf(wanted, sizeof wanted, "0100007F:%04X", unsigned{port});
  std::ifstream table{"/proc/net/tcp"};
  std::size_t count = 0;
  for (std::string line; std::getline(table, line);) {
    std::istringstream fields{line};
    std::string index, local, remote, state;
    fields >> index >> local >> remote >> state;
    if (remote == wanted && state == "02") ++count;
  }
  return count;
}

// Takes all places of a listener that does not accept, so that the next handshake stays open.
class FullBacklog {
 public:
  explicit FullBacklog(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    while (handshakes_to(port) == 0) {
      if (fds_.size() > 64) throw std::runtime_error{"the listener's backlog does not fill"};
      fds_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
      ::connect(fds_.back(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
  }
  ~FullBacklog() {
    for (const int fd : fds_) ::close(fd);
  }
  FullBacklog(const FullBacklog&) = delete;
  FullBacklog& operator=(const FullBacklog&) = delete;

 private:
  std::vector<int> fds_;
};

} // namespace

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

TEST_CASE("a reset, an empty answer and a cut one are lost connections") {
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
  CHECK(ended.code == "connection_lost");
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
  const FullBacklog full{server.port()};
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

TEST_CASE("an answer of just the bound comes whole") {
  SocketServer server{[](Connection& connection) {
    Request request;
    connection.read(request);
    connection.answer(std::string(limits::reply_bytes_max, 'x'));
  }};
  Calls calls;
  CHECK(calls.run(calls.call(server.url())).body.size() == limits::reply_bytes_max);
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

TEST_CASE("a call whose permit has ended does not reach the server") {
  SocketServer server{answer_all};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.not_after = boot_now();
  CHECK(calls.run(std::move(call)).end == CallEnd::unstarted);
  CHECK(server.connections() == 0);
}

TEST_CASE("a call whose permit ends during the handshake is connected but not sent") {
  SocketServer server{answer_all, 0};
  std::optional<FullBacklog> full{server.port()};
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.not_after = boot_now() + milliseconds{300};
  const Time not_after = call.not_after;
  const std::size_t others = handshakes_to(server.port());
  calls.start(std::move(call));
  bool in_handshake = false;
  while (boot_now() < not_after) in_handshake |= handshakes_to(server.port()) > others;
  REQUIRE(in_handshake);
  full.reset();
  server.accept_from_now();
  const CallEnded ended = calls.next();
  CHECK(ended.end == CallEnd::unstarted);
  CHECK(ended.code == "permit_ended");
  CHECK(server.requests().empty());
}

TEST_CASE("a call that waits for its turn to connect ends with its permit") {
  SocketServer server{answer_all, 0};
  const FullBacklog full{server.port()};
  Calls calls;
  std::vector<HttpCall> many;
  for (int i = 0; i < 32; ++i) many.push_back(calls.call(server.url()));
  calls.client().start(std::move(many));
  HttpCall late = calls.call(server.url());
  late.not_after = boot_now() + milliseconds{50};
  const AttemptId attempt = late.attempt;
  calls.start(std::move(late));
  const CallEnded ended = calls.next();
  CHECK(ended.attempt == attempt);
  CHECK(ended.end == CallEnd::unstarted);
}

TEST_CASE("calls go over a free connection while no other one comes about") {
  SocketServer server{answer_all, 0};
  Calls calls;
  calls.start(calls.call(server.url()));
  REQUIRE(server.accept_one());
  REQUIRE(calls.next().end == CallEnd::answered);
  const FullBacklog full{server.port()};
  std::vector<HttpCall> many;
  for (int i = 0; i < 100; ++i) many.push_back(calls.call(server.url()));
  calls.client().start(std::move(many));
  // All but those that are connecting, which could be 32 at most.
  for (int i = 0; i < 68; ++i) REQUIRE(calls.next().end == CallEnd::answered);
  CHECK(server.connections() == 1);
}

TEST_CASE("an aborted call ends as unstarted before it was sent and as aborted after") {
  SocketServer closed{answer_all, 0};
  const FullBacklog full{closed.port()};
  SocketServer server{hang};
  Calls calls;
  HttpCall connecting = calls.call(closed.url());
  HttpCall sent = calls.call(server.url());
  const AttemptId first = connecting.attempt, second = sent.attempt;
  calls.start(std::move(connecting));
  calls.start(std::move(sent));
  REQUIRE(server.wait_for_requests(1));
  calls.client().abort({first});
  const CallEnded one = calls.next();
  CHECK(one.attempt == first);
  CHECK(one.end == CallEnd::unstarted);
  calls.client().abort({second, first, AttemptId{12345}});
  const CallEnded two = calls.next();
  CHECK(two.attempt == second);
  CHECK(two.end == CallEnd::aborted);
  HttpCall withdrawn = calls.call(server.url());
  const AttemptId third = withdrawn.attempt;
  calls.start(std::move(withdrawn));
  calls.client().abort({third});
  const CallEnded three = calls.next();
  CHECK(three.attempt == third);
}

TEST_CASE("destroying the client ends every call exactly once") {
  SocketServer closed{answer_all, 0};
  const FullBacklog full{closed.port()};
  SocketServer server{hang};
  Calls calls;
  std::vector<HttpCall> many;
  std::set<AttemptId> expected;
  for (int i = 0; i < 20; ++i) many.push_back(calls.call(server.url()));
  for (int i = 0; i < 40; ++i) many.push_back(calls.call(closed.url()));
  for (const HttpCall& call : many) expected.insert(call.attempt);
  calls.client().start(std::move(many));
  REQUIRE(server.wait_for_requests(20));
  calls.destroy_client();
  REQUIRE(calls.untaken() == 60);
  std::size_t aborted = 0;
  while (calls.untaken() > 0) {
    const CallEnded ended = calls.next();
    CHECK(expected.erase(ended.attempt) == 1);
    CHECK((ended.end == CallEnd::aborted || ended.end == CallEnd::unstarted));
    aborted += ended.end == CallEnd::aborted ? 1 : 0;
  }
  CHECK(aborted == 20);
}

TEST_CASE("of 300 calls at once no more than 32 are connecting at a time, and all are answered") {
  SocketServer server{answer_all, 0};
  Calls calls;
  std::vector<HttpCall> many;
  for (int i = 0; i < 300; ++i) many.push_back(calls.call(server.url()));
  calls.client().start(std::move(many));
  std::size_t most = 0;
  while (most < 16 && calls.untaken() == 0) most = std::max(most, handshakes_to(server.port()));
  server.accept_from_now();
  while (calls.untaken() < 300) most = std::max(most, handshakes_to(server.port()));
  CHECK(most <= 32);
  for (int i = 0; i < 300; ++i) REQUIRE(calls.next().end == CallEnd::answered);
  CHECK(server.requests().size() == 300);
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
