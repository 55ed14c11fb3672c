// An exception in a thread of the product, or in a callback on a library's thread, is an internal
// error: one sentence and exit code 70, never std::terminate.
#include "actors/kit/guarded_thread.hpp"
#include "coordinator/gateway/zmq_gateway.hpp"
#include "coordinator/http/api/job_events.hpp"
#include "coordinator/http/server/server.hpp"
#include "coordinator/inputs/job_inputs.hpp"
#include "coordinator/journal/sqlite_store.hpp"
#include "coordinator/result/line_finder.hpp"
#include "tests/unit/coordinator/inputs/uploads_harness.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"
#include "worker/link/zmq_link.hpp"

#include <filesystem>
#include <functional>
#include <sys/wait.h>

namespace guarded_thread_test {

using namespace gristmill;
using Catch::Contains;
namespace fs = std::filesystem;

namespace {

[[noreturn]] void fail_as_asked() {
  throw std::runtime_error{"this went wrong"};
}

struct End {
  int code = -1; // -1: by a signal
  std::string said;
};

// In a process of its own, which is given a minute.
End end_of(const std::function<void()>& body) {
  int pipe[2];
  REQUIRE(::pipe(pipe) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::dup2(pipe[1], STDERR_FILENO);
    ::close(pipe[1]);
    body();
    for (;;) ::pause();
  }
  ::close(pipe[1]);
  End end;
  char buffer[4096];
  for (ssize_t got; (got = ::read(pipe[0], buffer, sizeof buffer)) > 0;)
    end.said.append(buffer, static_cast<std::size_t>(got));
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFEXITED(status)) end.code = WEXITSTATUS(status);
  return end;
}

struct Directory {
  Directory() {
    std::string name = fs::temp_directory_path() / "gristmill-thread-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  ~Directory() { fs::remove_all(path); }
  fs::path path;
};

// Left to the process that it ends.
template <class Owned> void leak(Owned owned) {
  new Owned{std::move(owned)};
}

} // namespace

TEST_CASE("whatever a thread throws ends the process with 70") {
  const End known = end_of([] { guarded_thread("test", fail_as_asked).join(); });
  CHECK(known.code == 70);
  CHECK_THAT(known.said, Contains(": internal error in the thread of the test: this went wrong\n"));
  CHECK(end_of([] { guarded_thread("test", [] { throw 7; }).join(); }).code == 70);
  CHECK(run_guarded("test", [] { return 7; }) == 7);
}

TEST_CASE("each thread of the product ends the process with 70 when it throws") {
  const Directory directory;
  struct Kind {
    std::string name;
    std::function<void(const fs::path&)> throws;
  };
  const std::vector<Kind> kinds{
      {"model client",
       [](const fs::path&) {
         auto client = std::make_unique<worker::CurlClient>(worker::ModelClientEvents{
             [](std::vector<worker::CallEnded>, std::int64_t) { fail_as_asked(); }});
         worker::HttpCall call;
         call.url = "http://127.0.0.1:1/";
         call.timeout = call.connect_timeout = std::chrono::seconds{60};
         client->start({call});
         leak(std::move(client));
       }},
      {"link",
       [](const fs::path& path) {
         worker::LinkOptions options;
         options.coordinator = "ipc://" + (path / "nobody").string();
         leak(worker::ZmqLink::open(options, {[](auto) {}, [] {}, [](auto) { fail_as_asked(); }}));
       }},
      {"gateway",
       [](const fs::path& path) {
         coordinator::GatewayOptions options;
         options.listen = "ipc://" + (path / "gateway").string();
         leak(coordinator::ZmqGateway::open(options, {[](auto) { fail_as_asked(); }, [](auto) {}}));
         worker::LinkOptions link;
         link.coordinator = options.listen;
         static std::unique_ptr<worker::ZmqLink> opened;
         opened = *worker::ZmqLink::open(link, {[](auto) {},
                                                [] {
                                                  while (!opened) std::this_thread::yield();
                                                  opened->send({"frame"});
                                                },
                                                [](auto) {}});
       }},
      {"journal",
       [](const fs::path& path) {
         journal::Recovered recovered;
         coordinator::SqliteStoreOptions options;
         options.directory = path / "state";
         auto store = coordinator::SqliteStore::open(
             options, {[](auto) {}, [](auto, auto) {}, [](JobId, auto) { fail_as_asked(); }},
             recovered);
         (*store)->read_job(JobId{1});
         leak(std::move(store));
       }},
      {"job events",
       [](const fs::path&) {
         auto events =
             std::make_unique<coordinator::JobEvents>([](auto, auto) { fail_as_asked(); });
         events->open();
         leak(std::move(events));
       }},
      {"line finder",
       [](const fs::path&) {
         auto finder = std::make_unique<coordinator::LineFinder>();
         finder->find(std::make_shared<coordinator::SegmentFiles>(
                          "", std::vector<coordinator::StoredSegment>{}),
                      {}, [](auto) { fail_as_asked(); });
         leak(std::move(finder));
       }},
      {"uploads",
       [](const fs::path& path) {
         auto uploads = uploads_test::open_uploads(path);
         auto upload = (*uploads)->begin("name", {});
         (*uploads)->finish(std::move(*upload), "", [](auto) { fail_as_asked(); });
         leak(std::move(uploads));
       }},
      {"job inputs", [](const fs::path& path) {
         auto uploads = uploads_test::open_uploads(path);
         auto inputs = std::make_unique<coordinator::JobInputs>(
             **uploads, std::vector<std::vector<InputSpec>>{}, coordinator::JobInputsLimits{});
         inputs->discard("none", [](auto) { fail_as_asked(); });
         leak(std::move(inputs));
         leak(std::move(uploads));
       }}};
  for (const Kind& kind : kinds) {
    const fs::path own = directory.path / kind.name;
    fs::create_directory(own);
    const End end = end_of([&] { kind.throws(own); });
    CAPTURE(kind.name, end.said);
    CHECK(end.code == 70);
    CHECK_THAT(end.said, Contains("in the thread of the " + kind.name + ": this went wrong"));
  }
}

} // namespace guarded_thread_test
