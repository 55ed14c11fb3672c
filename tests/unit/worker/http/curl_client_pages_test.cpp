// Pages that a server has about itself: read without a key, within their bounds, beside the calls.
#include "protocol/limits.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"

namespace curl_client_pages_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;
using Connection = SocketServer::Connection;
using Request = SocketServer::Request;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

// A client whose pages can be waited for.
class Pages {
public:
  void read(const std::string& url, Duration timeout = seconds{60}, std::uint32_t endpoint = 1) {
    client_.read({{EndpointId{endpoint}, url, timeout}});
  }
  PageEnded next() {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, seconds{60}, [this] { return !read_.empty(); }));
    PageEnded first = std::move(read_.front());
    read_.erase(read_.begin());
    return first;
  }
  PageEnded run(const std::string& url, Duration timeout = seconds{60}) {
    read(url, timeout);
    return next();
  }
  std::size_t untaken() {
    const std::lock_guard lock{mutex_};
    return read_.size();
  }
  CurlClient& client() { return client_; }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<PageEnded> read_;
  CurlClient client_{{[](std::vector<CallEnded>, std::int64_t) {},
                      [this](std::vector<PageEnded> pages) {
                        const std::lock_guard lock{mutex_};
                        std::move(pages.begin(), pages.end(), std::back_inserter(read_));
                        changed_.notify_all();
                      }}};
};

SocketServer::Serve with_body_of(std::size_t bytes) {
  return [bytes](Connection& connection) {
    Request request;
    connection.read(request);
    connection.answer(std::string(bytes, 'x'));
  };
}

} // namespace

TEST_CASE("a page is a GET without a key or an attempt's id") {
  SocketServer server{answer_all};
  Pages pages;
  const PageEnded page = pages.run(server.url());
  CHECK(page.endpoint == EndpointId{1});
  CHECK(page.http_status == 200);
  CHECK(page.body == R"({"ok":true})");
  CHECK(page.message.empty());
  const Request request = server.requests().at(0);
  CHECK_THAT(request.head, Catch::StartsWith("GET /v1/chat/completions HTTP/1.1\r\n"));
  CHECK(request.header("accept") == "text/plain");
  CHECK(request.header("authorization").empty());
  CHECK(request.header("x-request-id").empty());
  CHECK(request.header("content-type").empty());
}

TEST_CASE("a call that follows a page over its connection is a call again") {
  SocketServer server{answer_all};
  Pages pages;
  for (int n = 0; n < 3; ++n) {
    CHECK(pages.run(server.url()).http_status == 200);
    HttpCall call;
    call.attempt = AttemptId::of(Epoch{1}, 1, static_cast<std::uint64_t>(n) + 1);
    call.url = server.url();
    call.body = "{}";
    call.timeout = call.connect_timeout = seconds{60};
    pages.client().start({call});
    REQUIRE(server.wait_for_requests(static_cast<std::size_t>(2 * n) + 2));
  }
  const auto requests = server.requests();
  for (std::size_t n = 0; n < requests.size(); ++n)
    CHECK_THAT(requests[n].head, Catch::StartsWith(n % 2 == 0 ? "GET " : "POST "));
}

TEST_CASE("a page of the most bytes is read, a larger one is not") {
  Pages pages;
  SocketServer largest{with_body_of(limits::metrics_bytes_max)};
  CHECK(pages.run(largest.url()).body.size() == limits::metrics_bytes_max);
  SocketServer larger{with_body_of(limits::metrics_bytes_max + 1)};
  const PageEnded page = pages.run(larger.url());
  CHECK(page.http_status == 0);
  CHECK(page.body.empty());
  CHECK_THAT(page.message, Catch::Contains("more than 4194304 bytes"));
}

TEST_CASE("a page that does not come in its time, or from nobody, has no status") {
  Pages pages;
  SocketServer silent{hang};
  const PageEnded late = pages.run(silent.url(), milliseconds{100});
  CHECK(late.http_status == 0);
  CHECK_THAT(late.message, Catch::Contains("took too long"));
  std::string closed_port;
  {
    SocketServer server{answer_all};
    closed_port = server.url();
  }
  const PageEnded refused = pages.run(closed_port);
  CHECK(refused.http_status == 0);
  CHECK_FALSE(refused.message.empty());
}

TEST_CASE("there is one page of an endpoint at a time") {
  SocketServer server{hang};
  Pages pages;
  pages.read(server.url());
  REQUIRE(server.wait_for_requests(1));
  pages.read(server.url());
  pages.read(server.url(), seconds{60}, 2);
  REQUIRE(server.wait_for_requests(2));
  CHECK(server.requests().size() == 2);
  CHECK(pages.untaken() == 0);
}

TEST_CASE("a redirect is not followed") {
  SocketServer server{[](Connection& connection) {
    for (Request request; connection.read(request);)
      connection.send("HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\n"
                      "Content-Length: 0\r\n\r\n");
  }};
  Pages pages;
  CHECK(pages.run(server.url()).http_status == 307);
  CHECK(server.requests().size() == 1);
}

TEST_CASE("a page that has less than a millisecond left ends all the same") {
  SocketServer server{hang};
  Pages pages;
  CHECK(pages.run(server.url(), std::chrono::microseconds{900}).http_status == 0);
}

} // namespace curl_client_pages_test
