// Requests whose tasks have something to do that takes long, in the middle of a body: who waits for
// it, and what becomes of it when client or server do not.
#include "coordinator/disk/work_threads.hpp"
#include "tests/unit/coordinator/http/server/http_server_harness.hpp"

#include <atomic>
#include <future>
#include <mutex>

namespace http_server_work_test {

using namespace gristmill;
using namespace gristmill::coordinator;
using namespace gristmill::http_server_test;

namespace {

// What the tasks of a test have done, and what they are at.
struct Works {
  std::atomic<bool> holds = true; // work ends when the test says so
  std::atomic<bool> disturbed = false;
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<int> begun = 0, destroyed = 0, finished = 0;
  WorkThreads threads{"works", 2};

  void keep(std::function<void()> done) {
    {
      const std::lock_guard lock{mutex_};
      held_.push_back(std::move(done));
    }
    ++begun;
  }
  void release() {
    std::vector<std::function<void()>> all;
    {
      const std::lock_guard lock{mutex_};
      all.swap(held_);
    }
    for (const auto& done : all) done();
  }

private:
  std::mutex mutex_;
  std::vector<std::function<void()>> held_;
};

// At work after the head and after each piece.
class WorkingTask final : public HttpTask {
public:
  explicit WorkingTask(Works& works) : works_{works} {}
  ~WorkingTask() override { ++works_.destroyed; }
  bool take(std::string_view piece) override {
    if (*at_work_) works_.disturbed = true;
    works_.bytes += piece.size();
    has_work_ = true;
    return true;
  }
  bool has_work() const override { return has_work_; }
  void work(std::function<void()> done) override {
    has_work_ = false;
    *at_work_ = true;
    auto ended = [at_work = at_work_, done = std::move(done)] {
      *at_work = false;
      done();
    };
    if (works_.holds) return works_.keep(std::move(ended));
    ++works_.begun;
    works_.threads.order(std::move(ended));
  }
  void finish(Respond respond) override {
    if (*at_work_) works_.disturbed = true;
    ++works_.finished;
    respond(text_response(std::to_string(works_.bytes)));
  }

private:
  Works& works_;
  bool has_work_ = true;
  std::shared_ptr<std::atomic<bool>> at_work_ = std::make_shared<std::atomic<bool>>(false);
};

std::unique_ptr<HttpServer> serve_works(Works& works, HttpServerOptions options = {}) {
  return serve(
      [&](const HttpRequest& head) {
        return head.path == "/work" ? std::make_unique<WorkingTask>(works) : echo(head);
      },
      std::move(options));
}

} // namespace

TEST_CASE("while a task is at work, its client is read no further and others are served") {
  Works works;
  const auto server = serve_works(works);
  RawHttp client{server->url()};
  client.send(RawHttp::request("POST", "/work", 8u << 20));
  wait_until([&] { return works.begun == 1; }); // after the head
  auto sent =
      std::async(std::launch::async, [&] { return client.send(std::string(8u << 20, 'x')); });
  for (int i = 0; i < 100; ++i) REQUIRE(RawHttp{server->url()}.call("GET", "/other").status == 200);
  CHECK(works.bytes == 0);
  works.release();
  wait_until([&] { return works.begun == 2; }); // after the first piece
  const std::uint64_t first = works.bytes;
  for (int i = 0; i < 100; ++i) REQUIRE(RawHttp{server->url()}.call("GET", "/other").status == 200);
  CHECK(works.bytes == first);
  CHECK(first <= 64u * 1024);
  works.holds = false;
  works.release();
  CHECK(sent.get());
  CHECK(client.receive().body == std::to_string(8u << 20));
  CHECK_FALSE(works.disturbed);
  CHECK(client.call("GET", "/next").status == 200);
}

TEST_CASE("work comes between the chunks of a body, too, however many come together") {
  Works works;
  works.holds = false;
  const auto server = serve_works(works);
  std::string body;
  constexpr int chunks = 1'000;
  for (int i = 0; i < chunks; ++i) body += "3\r\nabc\r\n";
  for (int i = 0; i < 10; ++i) {
    works.bytes = 0;
    RawHttp client{server->url()};
    client.send("POST /work HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + body +
                "0\r\n\r\n");
    CHECK(client.receive().body == std::to_string(3 * chunks));
    CHECK_FALSE(works.disturbed);
    CHECK(client.call("GET", "/next").status == 200);
  }
}

TEST_CASE("a client that asks before it sends is heard when the work is done") {
  Works works;
  const auto server = serve_works(works);
  RawHttp client{server->url()};
  client.send(RawHttp::request("POST", "/work", 5, "Expect: 100-continue\r\n"));
  wait_until([&] { return works.begun == 1; });
  works.holds = false;
  works.release();
  CHECK(client.receive_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
  client.send("hello");
  CHECK(client.receive().body == "5");
}

TEST_CASE("a client that says it sends no more is heard to the end, whatever waits for us") {
  Works works;
  works.holds = false;
  const auto server = serve_works(works);
  RawHttp older{server->url()};
  CHECK(older.call("GET", "/first").status == 200);
  const std::string body(300'000, 'x');
  for (int i = 0; i < 20; ++i) {
    works.bytes = 0;
    RawHttp client{server->url()};
    client.send(RawHttp::request("POST", "/work", body.size()) + body);
    client.end();
    CHECK(client.receive().body == std::to_string(body.size()));
  }
}

TEST_CASE("a body that waits for us is not cut off as slow") {
  Works works;
  HttpServerOptions options = hurried();
  options.places.body = std::chrono::milliseconds{50};
  const auto server = serve_works(works, options);
  RawHttp client{server->url()};
  client.send(RawHttp::request("POST", "/work", 5) + "hello");
  wait_until([&] { return works.begun == 1; });
  for (int i = 0; i < 3; ++i) { // one after the other, as long as the body may take
    RawHttp slow{server->url()};
    slow.send(RawHttp::request("POST", "/slow", 500) + "half");
    CHECK(slow.receive().status == 408);
  }
  works.holds = false;
  works.release();
  CHECK(client.receive().body == "5");
}

TEST_CASE("when the work is done, a body is on the clock again") {
  Works works;
  HttpServerOptions options = hurried();
  options.places.body = std::chrono::milliseconds{50};
  const auto server = serve_works(works, options);
  RawHttp client{server->url()};
  client.send(RawHttp::request("POST", "/work", 500));
  wait_until([&] { return works.begun == 1; });
  works.release();
  CHECK(client.receive().status == 408);
  wait_until([&] { return works.destroyed == 1; });
  CHECK(works.finished == 0);
}

TEST_CASE("a client that leaves while its body waits for us gives its place back after that") {
  Works works;
  const auto server = serve_works(works, hurried());
  for (int i = 1; i <= 20; ++i) {
    RawHttp client{server->url()};
    client.send(RawHttp::request("POST", "/work", 1'000'000) + "part");
    wait_until([&] { return works.begun == 2 * i - 1; });
    works.release();
    wait_until([&] { return works.begun == 2 * i; });
    client.send("another part"); // its end comes with it
    client.close();
    works.holds = false;
    works.release();
    wait_until([&] { return works.destroyed == i; });
    works.holds = true;
    works.begun = 2 * i;
  }
  CHECK(works.finished == 0);
  CHECK(RawHttp{server->url()}.call("GET", "/other").status == 200);
}

TEST_CASE("a server that stops does not wait for work, and what is done later goes nowhere") {
  Works works;
  auto server = serve_works(works);
  RawHttp after_head{server->url()}, after_piece{server->url()};
  after_piece.send(RawHttp::request("POST", "/work", 1'000'000) + "part");
  wait_until([&] { return works.begun == 1; });
  works.release();
  wait_until([&] { return works.begun == 2; });
  after_head.send(RawHttp::request("POST", "/work", 1'000'000) + "part");
  wait_until([&] { return works.begun == 3; });
  server->stop();
  CHECK(works.destroyed == 2);
  CHECK(after_head.receive().status == 503);
  CHECK(after_piece.receive().status == 503);
  server.reset();
  works.release();
  CHECK(works.finished == 0);
}

TEST_CASE("work that comes to no end gives its place back, and its client is told") {
  Works works;
  HttpServerOptions options = hurried();
  options.answer_within_max = std::chrono::milliseconds{20};
  const auto server = serve_works(works, options);
  for (int i = 1; i <= 5; ++i) {
    RawHttp client{server->url()};
    client.send(RawHttp::request("POST", "/work", 1'000'000) + "part");
    CHECK(client.receive().status == 504);
    wait_until([&] { return works.destroyed == i; });
  }
  works.release(); // too late
  CHECK(works.finished == 0);
  wait_until([&] { return RawHttp{server->url()}.call("GET", "/other").status == 200; });
}

TEST_CASE("draining waits for a body that waits for us") {
  Works works;
  auto server = serve_works(works);
  RawHttp client{server->url()}, other{server->url()};
  CHECK(other.call("GET", "/before").status == 200);
  client.send(RawHttp::request("POST", "/work", 5) + "hello");
  wait_until([&] { return works.begun == 1; });
  auto drained = std::async(std::launch::async, [&] { server->drain(std::chrono::hours{1}); });
  wait_until([&] { return other.call("GET", "/during").status == 503; });
  works.holds = false;
  works.release();
  CHECK(client.receive().body == "5");
  drained.get();
}

TEST_CASE("who would send much more than is wanted is told in the middle of it") {
  const auto server = serve(echo);
  const std::string piece(1'001, 'x'); // one more than it gathers
  RawHttp announced{server->url()};
  announced.send(RawHttp::request("POST", "/p", 1u << 30) + piece);
  const auto refused = announced.receive();
  CHECK(refused.status == 413);
  CHECK(RawHttp::header(refused, "Connection") == "close");
  RawHttp chunked{server->url()};
  chunked.send("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + piece +
               "\r\n");
  CHECK(chunked.receive().status == 413);
  chunked.send("0\r\n\r\n");
  CHECK(chunked.receive().status == 0); // nothing follows
}

TEST_CASE("a body that nobody wants is cut off with a word") {
  HttpServerOptions options;
  options.discarded_bytes_max = 1'000;
  const auto server = serve(
      [](const HttpRequest&) { return answered(http_error(401, "unauthorized", "no")); }, options);
  RawHttp client{server->url()};
  client.send("POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" +
              std::string(1'001, 'x'));
  CHECK(client.receive().status == 401);
}

} // namespace http_server_work_test
