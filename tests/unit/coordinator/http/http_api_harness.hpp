// What the tests of the HTTP API share: its routes over real sockets, with a node that answers as
// the test says, on a state and a data root of their own.
#pragma once

#include "coordinator/http/api.hpp"
#include "coordinator/http/server/server.hpp"
#include "coordinator/journal/file_blobs.hpp"
#include "tests/unit/coordinator/http/server/raw_http.hpp"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

namespace gristmill::http_api_test {

using namespace gristmill::coordinator;
using nlohmann::json;
using test::RawHttp;
namespace fs = std::filesystem;

// A coordinator that knows one job, and takes every other that it is given.
struct FakeNode {
  fs::path directory;
  wiring::JobView job;
  std::vector<JobSpec> submitted;
  std::vector<std::string> drained;
  std::vector<InputSpec> forgotten; // of the job, when it is forgotten
  std::vector<wiring::AppendInputs> appended;
  bool refuses = false;
  bool repeats = false;    // an append was there before
  wiring::ListJobs listed; // what was asked for last
  JobId more;              // … and what is answered

  wiring::Answer answer(const Question& question) {
    wiring::Answer answer;
    if (const auto* submit = std::get_if<wiring::SubmitJob>(&question)) {
      submitted.push_back(submit->spec);
      answer.jobs.push_back(job);
      if (refuses) answer.error = Error{ErrorCode::usage, "not that job"};
    } else if (const auto* append = std::get_if<wiring::AppendInputs>(&question)) {
      appended.push_back(*append);
      answer.appended = {appended.size(), repeats};
      if (refuses) answer.error = Error{ErrorCode::conflict, "job-7 is closed"};
    } else if (std::holds_alternative<wiring::ForgetJob>(question)) {
      answer.jobs.push_back(job);
      answer.forgotten_inputs = forgotten;
    } else if (const auto* show = std::get_if<wiring::ShowJob>(&question);
               show && show->job != job.id) {
      answer.error = Error{ErrorCode::not_found, "there is no such job"};
    } else if (const auto* drain = std::get_if<wiring::DrainWorker>(&question)) {
      drained.push_back(drain->worker);
      answer.workers.emplace_back().name = drain->worker;
    } else if (std::holds_alternative<wiring::ListWorkers>(question)) {
      WorkerView worker;
      worker.session = {(std::uint64_t{3} << 32) + 1};
      worker.name = "w";
      worker.capacity = 256;
      answer.workers.push_back(worker);
    } else {
      answer.jobs.push_back(job);
    }
    if (std::holds_alternative<wiring::ExplainJob>(question)) answer.explanation.emplace();
    if (const auto* list = std::get_if<wiring::ListJobs>(&question)) {
      if (list->limit <= 1'000) listed = *list;
      answer.more = list->after.value == 0 ? more : JobId{};
    }
    return answer;
  }
};

struct ApiStage {
  // An answer comes after what the node did for it, which a thread checker does not see in sockets.
  mutable std::mutex turn;
  explicit ApiStage(const std::string& token = "", JobInputsLimits limits = {},
                    DiskCalls disk = real_disk()) {
    char name[] = "/tmp/gristmill-api-test-XXXXXX";
    node.directory = ::mkdtemp(name);
    node.job.id = JobId{7};
    node.job.output = (node.directory / "out").string();
    fs::create_directories(node.directory / "data");
    HttpApiOptions options;
    options.state_directory = node.directory / "state";
    options.data_root = node.directory / "data";
    options.token = token;
    options.inputs = limits;
    auto blobs = FileBlobs::open_in(options.state_directory, std::move(disk));
    REQUIRE(blobs.has_value());
    options.blobs = std::move(*blobs);
    options.ask = [this](const Question& question, auto then) {
      std::thread{[this, question, then] {
        std::unique_lock lock{turn};
        wiring::Answer answer = node.answer(question);
        lock.unlock();
        then(std::move(answer));
      }}.join();
    };
    options.lines = [](JobId, journal::LineKind) { return fail(ErrorCode::not_found, "no lines"); };
    auto opened = HttpApi::open(options);
    REQUIRE(opened.has_value());
    api = std::move(*opened);
    HttpServerOptions http;
    http.listen = "127.0.0.1:0";
    http.open_task = [this](const HttpRequest& head) { return api->open_task(head); };
    auto served = HttpServer::open(std::move(http));
    REQUIRE(served.has_value());
    server = std::move(*served);
  }
  ~ApiStage() {
    server.reset();
    api.reset();
    fs::remove_all(node.directory);
  }

  RawHttp client() const { return RawHttp{server->url()}; }
  RawHttp::Answer call(std::string_view method, std::string_view path, std::string_view body = {},
                       std::string_view headers = {}) const {
    { const std::lock_guard lock{turn}; }
    RawHttp::Answer answer = client().call(method, path, body, headers);
    const std::lock_guard lock{turn};
    return answer;
  }
  RawHttp::Answer submit(const std::string& path, const json& more = json::object()) const {
    json spec{{"inputs", {{{"path", path}, {"name", "in.jsonl"}}}}};
    spec.update(more);
    return call("POST", "/api/v1/jobs", json{{"spec", spec}}.dump());
  }
  std::size_t files() const {
    while (true) { // counted anew when something went meanwhile
      std::size_t count = 0;
      std::error_code gone;
      fs::recursive_directory_iterator entry{node.directory / "state/inputs", gone};
      for (; !gone && entry != fs::end(entry); entry.increment(gone)) ++count;
      if (!gone) return count;
    }
  }

  FakeNode node;
  std::unique_ptr<HttpApi> api;
  std::unique_ptr<HttpServer> server;
};

inline void write(const fs::path& path, std::string_view text) {
  std::ofstream{path} << text;
}

inline std::string read(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream{path}.rdbuf();
  return text.str();
}

inline std::string code_of(const RawHttp::Answer& answer) {
  return json::parse(answer.body)["error"]["code"];
}

} // namespace gristmill::http_api_test
