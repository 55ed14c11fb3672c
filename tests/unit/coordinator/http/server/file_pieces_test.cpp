// Files as answers: whole, whatever their length, and read where nobody else waits for it.
#include "coordinator/http/server/file_pieces.hpp"
#include "tests/unit/coordinator/http/server/http_server_harness.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

namespace file_pieces_test {

using namespace gristmill;
using namespace gristmill::http_server_test;
namespace fs = std::filesystem;

namespace {

struct File {
  explicit File(std::size_t bytes) {
    char name[] = "/tmp/gristmill-file-pieces-XXXXXX";
    path = ::mkdtemp(name);
    for (std::size_t i = 0; content.size() < bytes; ++i) content += std::to_string(i) + '\n';
    content.resize(bytes);
    std::ofstream{file()} << content;
  }
  ~File() { fs::remove_all(path); }
  std::string file() const { return path / "file"; }

  fs::path path;
  std::string content;
};

std::unique_ptr<HttpServer> serve_file(const File& file, WorkThreads& readers) {
  return serve([&](const HttpRequest& head) {
    if (head.path != "/file") return echo(head);
    HttpResponse response;
    response.stream = FilePieces::open(file.file(), readers).value();
    return answered(std::move(response));
  });
}

// Keeps the one reader from reading until the test says so.
struct Stop {
  explicit Stop(WorkThreads& readers) {
    readers.order([go_on = go_on.get_future().share()] { go_on.wait(); });
  }
  std::promise<void> go_on;
};

} // namespace

TEST_CASE("a file is the same at the other end, whatever its length") {
  WorkThreads readers{"readers", 1};
  for (const std::size_t bytes : {0u, 1u, 65'536u, 262'144u, 262'145u, 3'000'017u}) {
    INFO(bytes);
    const File file{bytes};
    const auto server = serve_file(file, readers);
    RawHttp client{server->url()};
    for (int i = 0; i < 2; ++i) {
      const auto answer = client.call("GET", "/file");
      CHECK(RawHttp::header(answer, "Content-Length") == std::to_string(bytes));
      CHECK(answer.body == file.content);
    }
  }
}

TEST_CASE("while the reader of a file waits for its disk, others are served") {
  WorkThreads readers{"readers", 1};
  const File file{1'000'000};
  const auto server = serve_file(file, readers);
  Stop stop{readers};
  RawHttp client{server->url()};
  client.send(RawHttp::request("GET", "/file", 0));
  for (int i = 0; i < 100; ++i) REQUIRE(RawHttp{server->url()}.call("GET", "/other").status == 200);
  stop.go_on.set_value();
  CHECK(client.receive().body == file.content);
}

TEST_CASE("a file that is shorter than it was ends its connection, and no other") {
  WorkThreads readers{"readers", 1};
  const File file{1'000'000};
  const auto server = serve_file(file, readers);
  Stop stop{readers};
  RawHttp client{server->url()};
  client.send(RawHttp::request("GET", "/file", 0));
  REQUIRE_FALSE(client.receive_until("\r\n\r\n").empty()); // so it is open
  fs::resize_file(file.file(), 300'000);
  stop.go_on.set_value();
  CHECK(client.receive_until("no such text").size() <= 300'000); // until it is closed
  CHECK(RawHttp{server->url()}.call("GET", "/other").status == 200);
}

TEST_CASE("neither a client that leaves nor a server that stops waits for the reader of a file") {
  WorkThreads readers{"readers", 1};
  const File file{1'000'000};
  auto server = serve_file(file, readers);
  Stop stop{readers};
  RawHttp leaves{server->url()}, stays{server->url()};
  for (RawHttp* client : {&leaves, &stays}) {
    client->send(RawHttp::request("GET", "/file", 0));
    REQUIRE_FALSE(client->receive_until("\r\n\r\n").empty());
  }
  leaves.close();
  server->stop();
  CHECK(stays.receive_until("no such text").empty());
  server.reset();
  stop.go_on.set_value();
}

} // namespace file_pieces_test
