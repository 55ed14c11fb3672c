// Both nodes in one process, as `gristmill run` has them: real actors, sockets, disk and HTTP. An
// endpoint of plain sockets answers each item with its own id.
#include "coordinator/host.hpp"
#include "protocol/ids.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "protocol/result.hpp"
#include "tests/unit/worker/http/socket_server.hpp"
#include "worker/host.hpp"

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fmt/format.h>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

using namespace gristmill;
using gristmill::test::SocketServer;

namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t items = 50;

std::string id_of(std::uint32_t item) {
  return fmt::format("item-{}", item);
}

// False when it did not come true within a generous time.
template <class Condition> bool comes_true(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  return true;
}

std::set<std::string> threads() {
  std::set<std::string> ids;
  for (const auto& task : fs::directory_iterator{"/proc/self/task"})
    ids.insert(task.path().filename());
  return ids;
}

class TemporaryDirectory {
public:
  TemporaryDirectory() {
    std::string name = fs::temp_directory_path() / "gristmill-hosts-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error{"no temporary directory"};
    path = name;
  }
  ~TemporaryDirectory() { fs::remove_all(path); }
  fs::path path;
};

// Answers with the prompt of the request, after `before_hanging` answers with nothing at all.
class Endpoint {
public:
  std::atomic<int> before_hanging = 1'000'000;

  std::string base_url() const { return fmt::format("http://127.0.0.1:{}/v1", server_.port()); }

  std::multiset<std::string> asked() const {
    std::multiset<std::string> ids;
    for (const auto& request : server_.requests()) ids.insert(prompt_of(request.body));
    return ids;
  }

private:
  static std::string prompt_of(const std::string& body) {
    return nlohmann::json::parse(body)["messages"][0]["content"];
  }
  void serve(SocketServer::Connection& connection) {
    SocketServer::Request request;
    while (connection.read(request)) {
      if (before_hanging-- <= 0) return connection.wait_until_closed();
      connection.answer(fmt::format(
          R"({{"id":"x","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,)"
          R"("message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],)"
          R"("usage":{{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}}})",
          prompt_of(request.body)));
    }
  }

  SocketServer server_{[this](SocketServer::Connection& connection) { serve(connection); }};
};

JobSpec job_of(const fs::path& directory, const Endpoint& endpoint) {
  const fs::path input = directory / "in.jsonl";
  std::ofstream file{input};
  for (std::uint32_t i = 0; i < items; ++i)
    file << fmt::format(R"({{"custom_id":"{0}","method":"POST","url":"/v1/chat/completions",)"
                        R"("body":{{"model":"m","messages":[{{"role":"user","content":"{0}"}}]}}}})"
                        "\n",
                        id_of(i));
  JobSpec spec;
  spec.inputs = {{input, "in.jsonl"}};
  spec.output = directory / "out.jsonl";
  spec.endpoints.push_back({endpoint.base_url(), "", "", 0, 0, 0});
  return spec;
}

// A life of both nodes.
class Cluster {
public:
  Cluster(Stage& stage, const fs::path& state) : stage_{stage} {
    coordinator::HostOptions options;
    options.state_directory = state;
    options.listen = "tcp://127.0.0.1:0";
    options.flat = true;
    options.fatal = [this](const Error& error) { complain(error.message); };
    auto opened = coordinator::CoordinatorHost::open(stage_, std::move(options));
    if (!opened) throw std::runtime_error{opened.error().message};
    coordinator_ = std::move(*opened);
  }
  ~Cluster() { stop(); }

  coordinator::CoordinatorHost& coordinator() { return *coordinator_; }

  void start(std::function<void()> welcome = {}) {
    if (auto started = coordinator_->start(); !started)
      throw std::runtime_error{started.error().message};
    worker::HostOptions options;
    options.coordinator = coordinator_->listening();
    options.worker.name = "w";
    options.worker.process = Nonce{1};
    options.worker.capacity = {8, limits::held_bytes_max};
    options.worker.drain_timeout = std::chrono::seconds{60};
    options.finished = [this] { drained_ = true; };
    options.welcome = std::move(welcome);
    options.refused = [this](const std::string& why) { complain(why); };
    options.fatal = [this](const std::string& why) {
      complain(why);
      worker_crashed_ = true;
    };
    auto started = worker::WorkerHost::start(stage_, std::move(options));
    if (!started) throw std::runtime_error{started.error().message};
    worker_ = std::move(*started);
  }

  JobId submit(const JobSpec& spec) {
    const auto answer = coordinator_->ask_and_wait(wiring::SubmitJob{spec});
    if (answer.error) throw std::runtime_error{answer.error->message};
    return answer.jobs.front().id;
  }
  // As `run` does it, whose job waits for the command.
  void go_on_with(JobId job) {
    const auto answer = coordinator_->ask_and_wait(wiring::ReopenJob{job, {}, {}});
    if (answer.error) throw std::runtime_error{answer.error->message};
  }
  wiring::JobView show(JobId job) {
    const auto answer = coordinator_->ask_and_wait(wiring::ShowJob{job});
    if (answer.error) throw std::runtime_error{answer.error->message};
    return answer.jobs.front();
  }
  bool ends(JobId job) {
    return comes_true([&] { return is_over(show(job).state); });
  }
  bool drains() {
    worker_->drain();
    return comes_true([&] { return drained_.load(); });
  }
  bool complained() const { return complained_; }
  bool worker_crashed() const { return worker_crashed_; }
  void stop() {
    if (worker_) worker_->stop();
    coordinator_->stop();
  }

private:
  void complain(const std::string& sentence) {
    fmt::print(stderr, "{}\n", sentence);
    complained_ = true;
  }

  Stage& stage_;
  std::atomic<bool> complained_ = false, drained_ = false, worker_crashed_ = false;
  std::unique_ptr<coordinator::CoordinatorHost> coordinator_;
  std::unique_ptr<worker::WorkerHost> worker_;
};

// Each item once, in the order of the input, with its own answer, on a line that proves itself.
void check_result(const fs::path& file) {
  std::ifstream result{file};
  std::string line;
  std::uint32_t item = 0;
  for (; std::getline(result, line); ++item) {
    INFO(line);
    const auto read = openai::check_result_line(line);
    REQUIRE(read);
    CHECK(read->item == item);
    const auto json = nlohmann::json::parse(line);
    CHECK(json["custom_id"] == id_of(item));
    CHECK(json["error"].is_null());
    CHECK(json["response"]["status_code"] == 200);
    CHECK(json["response"]["body"]["choices"][0]["message"]["content"] == id_of(item));
    CHECK(json["gristmill"]["source"] == fmt::format("in.jsonl:{}", item + 1));
  }
  CHECK(item == items);
  std::ifstream summary{file.string() + ".summary.json"};
  const auto counts = nlohmann::json::parse(summary)["counts"];
  INFO(counts.dump());
  CHECK(counts["completed"] == items);
  CHECK(counts["failed"] == 0);
}

} // namespace

TEST_CASE("Two nodes in one process run a job from its input to its result", "[hosts]") {
  const TemporaryDirectory directory;
  Endpoint endpoint;
  Stage stage{2};
  Cluster cluster{stage, directory.path / "state"};
  cluster.start();
  const JobId job = cluster.submit(job_of(directory.path, endpoint));
  REQUIRE(cluster.ends(job));
  const auto view = cluster.show(job);
  CHECK(view.state == JobState::finished);
  CHECK(view.counts.completed == items);
  CHECK(view.counts.attempts == items);
  CHECK(view.counts.prompt_tokens == 3 * items);
  CHECK(endpoint.asked().size() == items);
  CHECK_FALSE(cluster.complained());
  check_result(directory.path / "out.jsonl");
}

TEST_CASE("Stopping both nodes leaves no thread behind, with work done or not", "[hosts]") {
  const int answers = GENERATE(0, 20, 1'000'000);
  const TemporaryDirectory directory;
  Endpoint endpoint;
  endpoint.before_hanging = answers;
  const JobSpec spec = job_of(directory.path, endpoint);
  Stage stage{2};
  const auto before = threads();
  Cluster cluster{stage, directory.path / "state"};
  cluster.start();
  const JobId job = cluster.submit(spec);
  if (answers < static_cast<int>(items)) {
    // Some calls are still in flight then.
    REQUIRE(
        comes_true([&] { return endpoint.asked().size() > static_cast<std::size_t>(answers); }));
  } else {
    REQUIRE(cluster.ends(job));
  }
  CHECK(threads().size() > before.size());
  cluster.stop();
  // The endpoint's own threads end when the worker has closed their connections.
  CHECK(comes_true([&] { return std::ranges::includes(before, threads()); }));
  cluster.stop(); // a second time does nothing
}

TEST_CASE("A restart on the same state goes on with what was not recorded", "[hosts]") {
  const TemporaryDirectory directory;
  Endpoint endpoint;
  endpoint.before_hanging = 20;
  JobId job;
  {
    Stage stage{2};
    Cluster cluster{stage, directory.path / "state"};
    cluster.start();
    job = cluster.submit(job_of(directory.path, endpoint));
    REQUIRE(comes_true([&] { return cluster.show(job).counts.completed == 20; }));
    cluster.stop();
  }
  const auto asked_before = endpoint.asked();
  CHECK_FALSE(fs::exists(directory.path / "out.jsonl"));

  endpoint.before_hanging = 1'000'000;
  Stage stage{2};
  Cluster cluster{stage, directory.path / "state"};
  REQUIRE(cluster.coordinator().recovered().jobs.size() == 1);
  CHECK(cluster.coordinator().recovered().jobs.front().counts.completed == 20);
  cluster.start();
  cluster.go_on_with(job);
  REQUIRE(cluster.ends(job));
  CHECK(cluster.show(job).state == JobState::finished);
  CHECK_FALSE(cluster.complained());
  // Only the thirty whose answers never came were asked for again.
  CHECK(endpoint.asked().size() == asked_before.size() + items - 20);
  check_result(directory.path / "out.jsonl");
}

TEST_CASE("A drained worker finishes what it began, and the job goes on with the next life",
          "[hosts]") {
  const TemporaryDirectory directory;
  Endpoint endpoint;
  JobId job;
  {
    Stage stage{2};
    Cluster cluster{stage, directory.path / "state"};
    cluster.start();
    job = cluster.submit(job_of(directory.path, endpoint));
    REQUIRE(comes_true([&] { return !endpoint.asked().empty(); }));
    REQUIRE(cluster.drains());
  }
  Stage stage{2};
  Cluster cluster{stage, directory.path / "state"};
  cluster.start();
  cluster.go_on_with(job);
  REQUIRE(cluster.ends(job));
  CHECK(endpoint.asked().size() == items); // nothing was asked for twice
  check_result(directory.path / "out.jsonl");
}

TEST_CASE("a worker whose room throws has crashed, which is no refusal by the coordinator") {
  TemporaryDirectory directory;
  Stage stage{2};
  Cluster cluster{stage, directory.path / "state"};
  cluster.start([] { throw std::bad_alloc{}; });
  CHECK(comes_true([&] { return cluster.worker_crashed(); }));
}
