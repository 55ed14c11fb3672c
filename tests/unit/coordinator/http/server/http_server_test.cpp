// The HTTP server over real sockets, with tasks that the test holds in its hands.
#include "coordinator/http/server/file_pieces.hpp"
#include "coordinator/http/server/listener.hpp"
#include "tests/unit/coordinator/http/server/http_server_harness.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <cstdio>
#include <fcntl.h>
#include <future>
#include <malloc.h>
#include <thread>

namespace http_server_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::http_server_test;

namespace {

struct Counted {
  std::atomic<std::uint64_t> bytes = 0, pieces_max = 0;
  std::atomic<int> destroyed = 0, finished = 0;
};

class CountingTask final : public HttpTask {
public:
  explicit CountingTask(Counted& counted) : counted_{counted} {}
  ~CountingTask() override { ++counted_.destroyed; }
  bool take(std::string_view piece) override {
    counted_.bytes += piece.size();
    if (piece.size() > counted_.pieces_max) counted_.pieces_max = piece.size();
    return true;
  }
  void finish(Respond respond) override {
    ++counted_.finished;
    respond(text_response(std::to_string(counted_.bytes)));
  }

private:
  Counted& counted_;
};

} // namespace

TEST_CASE("a request's head and body reach the task, and its answer the client") {
  const auto server = serve(echo);
  RawHttp client{server->url()};
  CHECK(client.call("GET", "/a/b%20c?x=1&y=%26").body == "GET /a/b c x=1 y=&");
  CHECK(client.call("POST", "/p", "hello", "Authorization: Bearer t\r\n").body ==
        "POST /p auth:Bearer t body:hello");
  const auto last = client.call("GET", "/again");
  CHECK(last.status == 200);
  CHECK(RawHttp::header(last, "Content-Type") == "application/json");
  CHECK(RawHttp::header(last, "X-Content-Type-Options") == "nosniff");
}

TEST_CASE("an answer may come later and from any thread, while other requests are served") {
  std::promise<Respond> held;
  const auto server = serve([&](const HttpRequest& head) {
    if (head.path != "/held") return echo(head);
    return gathered(10, [&](const std::string&, Respond respond) { held.set_value(respond); });
  });
  RawHttp waiting{server->url()};
  waiting.send(RawHttp::request("GET", "/held", 0));
  const Respond respond = held.get_future().get();
  for (int i = 0; i < 100; ++i) REQUIRE(RawHttp{server->url()}.call("GET", "/other").status == 200);
  std::thread{[&] {
    respond(text_response("late"));
    respond(text_response("twice"));
  }}.join();
  CHECK(waiting.receive().body == "late");
  CHECK(waiting.call("GET", "/next").body == "GET /next");
}

TEST_CASE("clients that are slow to ask or to read do not make others wait") {
  char path[] = "/tmp/gristmill-http-test-XXXXXX";
  const FileDescriptor file{::mkstemp(path)};
  REQUIRE(::ftruncate(file.get(), 64 << 20) == 0);
  WorkThreads readers{"readers", 2};
  const auto server = serve([&](const HttpRequest& head) {
    if (head.path != "/file") return echo(head);
    HttpResponse response;
    response.stream = FilePieces::open(path, readers).value();
    return answered(std::move(response));
  });
  std::vector<RawHttp> slow;
  for (int i = 0; i < 100; ++i) {
    slow.emplace_back(server->url());
    slow.back().send("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Le"); // and nothing more
    slow.emplace_back(server->url());
    slow.back().send(RawHttp::request("POST", "/slow", 500) + "half of the body");
    slow.emplace_back(server->url());
    slow.back().send(RawHttp::request("GET", "/file", 0)); // and reads nothing
  }
  for (int i = 0; i < 100; ++i) REQUIRE(RawHttp{server->url()}.call("GET", "/quick").status == 200);
  const auto whole = slow.back().receive();
  CHECK(whole.body.size() == std::size_t{64} << 20);
  ::unlink(path);
}

TEST_CASE("an upload comes in small pieces, however large it is") {
  Counted counted;
  const auto server = serve([&](const HttpRequest& head) {
    CHECK(head.content_length == 64u << 20);
    return std::make_unique<CountingTask>(counted);
  });
  RawHttp client{server->url()};
  client.send(RawHttp::request("POST", "/in", 64u << 20));
  const std::string piece(1u << 20, 'x');
  for (int i = 0; i < 64; ++i) REQUIRE(client.send(piece));
  CHECK(client.receive().body == std::to_string(64u << 20));
  CHECK(counted.pieces_max <= 64u * 1024);
}

TEST_CASE("a chunked body is a body too") {
  const auto server = serve(echo);
  RawHttp client{server->url()};
  client.send("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
              "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
  CHECK(client.receive().body == "POST /c body:abcde");
}

TEST_CASE("a task whose client leaves in the middle is ended without finish") {
  Counted counted;
  const auto server =
      serve([&](const HttpRequest&) { return std::make_unique<CountingTask>(counted); });
  RawHttp client{server->url()};
  client.send(RawHttp::request("POST", "/in", 1'000) + "some");
  wait_until([&] { return counted.bytes == 4; });
  client.close();
  wait_until([&] { return counted.destroyed == 1; });
  CHECK(counted.finished == 0);
}

TEST_CASE("a body beyond the bound is refused in JSON, and the connection goes on") {
  const auto server = serve(echo);
  RawHttp client{server->url()};
  CHECK(client.call("POST", "/p", std::string(1'000, 'x')).status == 200);
  const auto refused = client.call("POST", "/p", std::string(1'001, 'x'));
  CHECK(refused.status == 413);
  CHECK(refused.body ==
        R"({"error":{"code":"too_large","message":"expected a body of at most 1000 )"
        R"(bytes, got more"}})");
  CHECK(client.call("GET", "/next").status == 200);
}

TEST_CASE("a refusal reaches a client that is still sending, and one that asks before it sends") {
  const auto server =
      serve([](const HttpRequest&) { return answered(http_error(401, "unauthorized", "no")); });
  RawHttp sending{server->url()};
  CHECK(sending.call("POST", "/p", std::string(4u << 20, 'x')).status == 401);
  RawHttp asking{server->url()};
  asking.send(RawHttp::request("POST", "/p", 1u << 30, "Expect: 100-continue\r\n"));
  CHECK(asking.receive().status == 401);
}

TEST_CASE("a body that nobody wants is cut off at its bound") {
  HttpServerOptions options;
  options.discarded_bytes_max = 1u << 20;
  const auto server = serve(
      [](const HttpRequest&) { return answered(http_error(401, "unauthorized", "no")); }, options);
  RawHttp client{server->url()};
  client.send("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  std::string chunk = "100000\r\n" + std::string(1u << 20, 'x') + "\r\n";
  int sent = 0;
  while (sent < 1'000 && client.send(chunk)) ++sent;
  CHECK(sent < 1'000);
}

TEST_CASE("a head beyond the bound is refused") {
  const auto server = serve(echo);
  const auto with_header = [&](std::size_t bytes) {
    RawHttp client{server->url()};
    return client.call("GET", "/h", "", "X-Long: " + std::string(bytes, 'x') + "\r\n").status;
  };
  CHECK(with_header(7'000) == 200);
  CHECK(with_header(9'000) == 431);
  CHECK(with_header(1'000'000) != 200);
}

TEST_CASE("what is no HTTP ends its own connection only") {
  const auto server = serve(echo);
  for (const char* nonsense :
       {"\r\n\r\n\r\n", "GET\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00", "GET / HTTP/9.9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "GET / HTTP/1.1\r\n\r\n"}) {
    RawHttp client{server->url()};
    client.send(nonsense);
    RawHttp other{server->url()};
    CHECK(other.call("GET", "/fine").status == 200);
  }
}

TEST_CASE("a task that throws is an internal error for its client") {
  const auto server = serve([](const HttpRequest&) {
    return gathered(10, [](const std::string&, const Respond&) { throw std::runtime_error{"oh"}; });
  });
  RawHttp client{server->url()};
  CHECK(client.call("GET", "/").status == 500);
  CHECK(client.call("GET", "/").status == 500);
}

TEST_CASE("stopping answers those who wait, and late answers go nowhere") {
  std::promise<Respond> held;
  auto server = serve([&](const HttpRequest&) {
    return gathered(10, [&](const std::string&, Respond respond) { held.set_value(respond); });
  });
  RawHttp client{server->url()};
  client.send(RawHttp::request("GET", "/held", 0));
  const Respond respond = held.get_future().get();
  server->stop();
  const auto answer = client.receive();
  CHECK((answer.status == 503 || answer.status == 0));
  server.reset();
  respond(text_response("too late"));
}

TEST_CASE("draining lets what is under way end, and refuses the rest") {
  std::promise<Respond> held;
  auto server = serve([&](const HttpRequest& head) {
    if (head.path != "/held") return echo(head);
    return gathered(10, [&](const std::string&, Respond respond) { held.set_value(respond); });
  });
  RawHttp client{server->url()}, other{server->url()};
  CHECK(other.call("GET", "/before").status == 200);
  client.send(RawHttp::request("GET", "/held", 0));
  const Respond respond = held.get_future().get();
  auto drained = std::async(std::launch::async, [&] { server->drain(std::chrono::hours{1}); });
  wait_until([&] { return other.call("GET", "/during").status == 503; });
  CHECK(drained.wait_for(std::chrono::seconds{0}) == std::future_status::timeout);
  respond(text_response("done"));
  CHECK(client.receive().body == "done");
  drained.get();
}

TEST_CASE("a head that does not come to its end is cut off, however it drips") {
  HttpServerOptions options = hurried();
  options.places.head = std::chrono::milliseconds{50};
  const auto server = serve(echo, options);
  RawHttp slow{server->url()};
  slow.send("GET /slow HTTP/1.1\r\nHost: x\r\nX: ");
  while (slow.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  CHECK(slow.receive().status == 408);
  RawHttp silent{server->url()};
  CHECK(silent.receive().status == 408);
  CHECK(RawHttp{server->url()}.call("GET", "/quick").status == 200);
}

TEST_CASE("a body that does not keep its rate is cut off, and its task ended") {
  Counted counted;
  HttpServerOptions options = hurried();
  options.places.body = std::chrono::milliseconds{50};
  const auto server =
      serve([&](const HttpRequest&) { return std::make_unique<CountingTask>(counted); }, options);
  RawHttp slow{server->url()};
  slow.send(RawHttp::request("POST", "/in", 1'000'000));
  while (slow.send("x")) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  CHECK(slow.receive().status == 408);
  wait_until([&] { return counted.destroyed == 1; });
  CHECK(counted.finished == 0);
}

TEST_CASE("when places run out, the connection that is longest without a head is closed") {
  const auto server = serve(echo, hurried());
  std::vector<RawHttp> slow;
  for (int i = 0; i < 3; ++i) {
    slow.emplace_back(server->url());
    slow.back().send("GET /slow HTTP/1.1\r\nHost: x\r\nX: ");
  }
  RawHttp next{server->url()};
  CHECK(next.call("GET", "/next").status == 200);
  CHECK(slow[0].receive().status == 0);
  slow[2].send("\r\n\r\n");
  CHECK(slow[2].receive().status == 200);
}

TEST_CASE("requests that take all places leave one for what is always answered") {
  std::atomic<int> opened = 0;
  HttpServerOptions options = hurried();
  options.places.reserved = 8; // connections that are over take a moment to go
  const auto server = serve(
      [&](const HttpRequest& head) {
        ++opened;
        return echo(head);
      },
      options);
  std::vector<RawHttp> half;
  for (int i = 0; i < 2; ++i) {
    half.emplace_back(server->url());
    half.back().send(RawHttp::request("POST", "/half", 500) + "half");
    wait_until([&] { return opened == i + 1; });
  }
  const auto full = RawHttp{server->url()}.call("GET", "/other");
  CHECK(full.status == 503);
  CHECK(RawHttp::header(full, "Connection") == "close");
  CHECK(RawHttp{server->url()}.call("GET", "/healthz").status == 200);
  CHECK(RawHttp{server->url()}.call("GET", "/healthz", "a body").status == 503);
  // More of them do not take the place that is kept.
  RawHttp third{server->url()};
  third.send(RawHttp::request("POST", "/half", 500) + "half");
  CHECK(third.receive().status == 503);
  CHECK(RawHttp{server->url()}.call("GET", "/healthz").status == 200);
  half.pop_back();
  wait_until([&] { return RawHttp{server->url()}.call("GET", "/other").status == 200; });
}

TEST_CASE("a client that was killed in its upload gives its place back") {
  Counted counted;
  const auto server =
      serve([&](const HttpRequest&) { return std::make_unique<CountingTask>(counted); }, hurried());
  constexpr int clients = 20;
  for (int i = 1; i <= clients; ++i) {
    RawHttp client{server->url()};
    client.send(RawHttp::request("POST", "/in", 1'000'000) + "partial"); // its end comes with it
    client.close();
    wait_until([&] { return counted.destroyed == i; });
  }
  CHECK(counted.finished == 0);
}

TEST_CASE("a client that says it sends no more is answered all the same") {
  const auto server = serve(echo);
  RawHttp older{server->url()};
  CHECK(older.call("GET", "/first").status == 200);
  for (int i = 0; i < 20; ++i) {
    RawHttp client{server->url()};
    client.send(RawHttp::request("POST", "/p", 5) + "hello");
    client.end();
    CHECK(client.receive().body == "POST /p body:hello");
  }
}

TEST_CASE("a request that nobody answers ends with 504, and gives its place back") {
  std::vector<Respond> held;
  HttpServerOptions options = hurried();
  options.answer_within_max = std::chrono::milliseconds{20};
  const auto server = serve(
      [&](const HttpRequest& head) {
        if (head.path != "/held") return echo(head);
        return gathered(10, [&](const std::string&, Respond respond) { held.push_back(respond); });
      },
      options);
  for (int i = 0; i < 5; ++i) {
    RawHttp client{server->url()};
    CHECK(client.call("GET", "/held").status == 504);
    CHECK(client.call("GET", "/next").status == 200);
  }
  for (int i = 0; i < 5; ++i) { // whose clients have not waited
    RawHttp client{server->url()};
    client.send(RawHttp::request("GET", "/held", 0));
  }
  wait_until([&] { return RawHttp{server->url()}.call("GET", "/other").status == 200; });
}

TEST_CASE("as many arguments as a request may have, and one more") {
  const auto server = serve(echo);
  const auto with = [&](int arguments) {
    std::string path = "/a?x=1";
    for (int i = 1; i < arguments; ++i) path += "&" + std::to_string(i) + "=1";
    return RawHttp{server->url()}.call("GET", path).status;
  };
  CHECK(with(63) == 200);
  CHECK(with(64) == 200);
  CHECK(with(65) == 400);
  for (const int many : {700, 1'000, 1'300}) { // within a head of 8 KiB
    CHECK(with(many) == 400);
    RawHttp client{server->url()}; // its line and the rest, one after the other
    std::string line = "GET /a?x=1";
    for (int i = 1; i < many; ++i) line += "&" + std::to_string(i) + "=1";
    client.send(line + " HTTP/1.1\r\nHo");
    CHECK(RawHttp{server->url()}.call("GET", "/b").status == 200);
    client.send("st: localhost\r\n\r\n");
    CHECK(client.receive().status == 400);
  }
}

TEST_CASE("more cookies than there is memory for end their connection and no other") {
  const auto server = serve(echo);
  for (const std::string cookie : {"a;", "a=b;", ";", "a,"}) {
    std::string line = "Cookie: ";
    while (line.size() < 7'000) line += cookie;
    for (int i = 0; i < 10; ++i)
      CHECK(RawHttp{server->url()}.call("GET", "/h", "", line + "\r\n").status != 200);
    CHECK(RawHttp{server->url()}.call("GET", "/h", "", "Cookie: a=b; c=d\r\n").status == 200);
  }
}

TEST_CASE("a request that the library forgets leaves nothing behind") {
  const auto server = serve(echo);
  std::string cookies = "Cookie: ";
  while (cookies.size() < 7'000) cookies += "a=b;";
  const auto send = [&](int requests) {
    for (int i = 0; i < requests; ++i)
      CHECK(RawHttp{server->url()}.call("GET", "/h", "", cookies + "\r\n").status != 200);
  };
  send(100);
  const auto before = ::mallinfo2().uordblks;
  send(1'000);
  CHECK(::mallinfo2().uordblks < before + 100'000); // 270 bytes each, if they stayed
}

TEST_CASE("a head of very many lines has an end, too") {
  const auto server = serve(echo);
  std::string lines;
  for (int i = 0; i < 1'900; ++i) lines += "a:\r\n";
  CHECK(RawHttp{server->url()}.call("GET", "/h", "", lines).status != 200);
}

TEST_CASE("a NUL does not cut a path or an argument short") {
  std::atomic<int> opened = 0;
  const auto server = serve([&](const HttpRequest& head) {
    ++opened;
    return echo(head);
  });
  for (const char* path : {"/a%00b", "/%00", "/a?x=1%00", "/a?%00=1"}) {
    INFO(path);
    CHECK(RawHttp{server->url()}.call("GET", path).status == 400);
  }
  CHECK(opened == 0);
}

TEST_CASE("an address that cannot be had is refused in words") {
  const auto first = serve(echo);
  const auto refused = [](const std::string& listen) {
    const auto listener = listen_for_http(listen);
    return listener ? std::string{} : listener.error().message;
  };
  CHECK_THAT(refused(first->url().substr(7)), Catch::Contains("in use by another process"));
  CHECK_THAT(refused("nonsense"), Catch::Contains("expected HOST:PORT"));
  CHECK_THAT(refused("127.0.0.1:99999"), Catch::Contains("expected HOST:PORT"));
  CHECK_THAT(refused("192.0.2.1:0"), Catch::Contains("address of this machine"));
}

TEST_CASE("HTTP leaves the machine only with a token") {
  CHECK(check_http_access("127.0.0.1:7412", false, false).has_value());
  CHECK(check_http_access("localhost:7412", false, false).has_value());
  CHECK(check_http_access("0.0.0.0:7412", true, true).has_value());
  for (const bool plain : {false, true}) {
    const auto refused = check_http_access("0.0.0.0:7412", false, plain);
    REQUIRE_FALSE(refused.has_value());
    CHECK_THAT(refused.error().message, Catch::Contains("gristmill keygen DIR"));
  }
  const auto refused = check_http_access("0.0.0.0:7412", true, false);
  REQUIRE_FALSE(refused.has_value());
  CHECK_THAT(refused.error().message, Catch::Contains("--http-plain"));
}

} // namespace http_server_test
