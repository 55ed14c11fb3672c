// Uploads over real sockets, on a disk that stands still or is full.
#include "tests/unit/coordinator/disk/disk_counts.hpp"
#include "tests/unit/coordinator/http/http_api_harness.hpp"

#include <condition_variable>
#include <future>
#include <mutex>

namespace upload_task_test {

using namespace gristmill;
using nlohmann::json;
using namespace gristmill::http_api_test;
using disk_test::DiskCounts;

namespace {

// From some moment on one kind of call does not come back until the test says so; or for some
// seconds, so that a thread that should not have waited for it is found out.
class StillDisk {
public:
  explicit StillDisk(std::string stands) : stands_{std::move(stands)} {}

  DiskCalls calls() {
    DiskCalls calls;
    calls.open = [this](const char* path, int flags, mode_t mode) {
      stand("open");
      return ::open(path, flags, mode);
    };
    calls.write = [this](int fd, const void* data, std::size_t size) {
      stand("write");
      return ::write(fd, data, size);
    };
    calls.fsync = [this](int fd) {
      stand("fsync");
      return ::fsync(fd);
    };
    calls.unlink = [this](const char* path) {
      stand("unlink");
      return ::unlink(path);
    };
    return calls;
  }

  void stand_still() {
    const std::lock_guard lock{mutex_};
    still_ = true;
  }
  void until_waited_for() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return waiting_ > 0; });
  }
  void go_on() {
    const std::lock_guard lock{mutex_};
    still_ = false;
    changed_.notify_all();
  }
  bool was_too_long() const {
    const std::lock_guard lock{mutex_};
    return too_long_;
  }

private:
  void stand(std::string_view call) {
    std::unique_lock lock{mutex_};
    if (call != stands_ || !still_) return;
    ++waiting_;
    changed_.notify_all();
    if (!changed_.wait_for(lock, std::chrono::seconds{30}, [this] { return !still_; }))
      too_long_ = true;
  }

  const std::string stands_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool still_ = false, too_long_ = false;
  int waiting_ = 0;
};

} // namespace

TEST_CASE("a disk that stands still holds up uploads, and nobody else") {
  for (const char* call : {"unlink", "open", "write", "fsync"}) {
    INFO(call);
    StillDisk disk{call};
    const ApiStage stage{"", {}, disk.calls()};
    disk.stand_still();
    const std::string body(2u << 20, 'x');
    std::vector<std::future<RawHttp::Answer>> uploads;
    for (int i = 0; i < 8; ++i)
      uploads.push_back(std::async(
          std::launch::async, [&] { return stage.call("POST", "/api/v1/inputs?name=x", body); }));
    disk.until_waited_for();
    for (int i = 0; i < 20; ++i) REQUIRE(stage.call("GET", "/healthz").status == 200);
    CHECK_FALSE(disk.was_too_long());
    disk.go_on();
    for (auto& upload : uploads) {
      const auto answer = upload.get();
      REQUIRE(answer.status == 201);
      CHECK(read(json::parse(answer.body)["path"].get<std::string>()) == body);
    }
  }
}

TEST_CASE("what came of an upload is removed where nobody waits for it") {
  StillDisk disk{"unlink"};
  const ApiStage stage{"", {}, disk.calls()};
  RawHttp client = stage.client();
  client.send(RawHttp::request("POST", "/api/v1/inputs?name=x", 1'000) + "some");
  while (stage.files() < 2) std::this_thread::yield();
  disk.stand_still();
  client.close();
  disk.until_waited_for();
  for (int i = 0; i < 20; ++i) REQUIRE(stage.call("GET", "/healthz").status == 200);
  CHECK_FALSE(disk.was_too_long());
  disk.go_on();
  while (stage.files() > 0) std::this_thread::yield();
}

TEST_CASE("when the disk fills up in the middle of an upload, its client learns just that") {
  const std::string piece(1u << 20, 'x');
  const std::string announced = RawHttp::request("POST", "/api/v1/inputs?name=x", 64u << 20);
  const std::string unknown = "POST /api/v1/inputs?name=x HTTP/1.1\r\nHost: localhost\r\n"
                              "Transfer-Encoding: chunked\r\n\r\n4000000\r\n";
  for (const std::string& head : {announced, unknown}) {
    INFO(head);
    DiskCounts disk;
    const ApiStage stage{"", {}, disk.calls()};
    disk.let_fail("write", ENOSPC, 2);
    RawHttp client = stage.client();
    client.send(head);
    for (int i = 0; i < 3; ++i) client.send(piece); // and then it waits for a word
    const auto refused = client.receive();
    CHECK(refused.status == 507);
    CHECK(RawHttp::header(refused, "Connection") == "close");
    REQUIRE_FALSE(refused.body.empty());
    CHECK(code_of(refused) == "disk_full");
    CHECK_THAT(refused.body, Catch::Contains("free some space"));
    while (stage.files() > 0) std::this_thread::yield();
  }
}

TEST_CASE("an upload whose last bytes find no room is refused when they have come") {
  for (const auto& [bytes, writes] : {std::pair{100u, 0u}, std::pair{(1u << 20) + 100, 1u}}) {
    INFO(bytes);
    DiskCounts disk;
    const ApiStage stage{"", {}, disk.calls()};
    disk.let_fail("write", ENOSPC, writes);
    RawHttp client = stage.client();
    CHECK(client.call("POST", "/api/v1/inputs?name=x", std::string(bytes, 'x')).status == 507);
    CHECK(client.call("GET", "/healthz").status == 200); // its connection goes on
    while (stage.files() > 0) std::this_thread::yield();
  }
}

} // namespace upload_task_test
