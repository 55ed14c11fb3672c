// The coordinator's routes: what comes back over a real socket.
#include "coordinator/http/api/job_json.hpp"
#include "tests/unit/coordinator/http/http_api_harness.hpp"
#include "tests/unit/coordinator/inputs/uploads_harness.hpp"

#include <fcntl.h>
#include <future>
#include <sys/stat.h>

namespace http_api_test {

using namespace gristmill;
using nlohmann::json;
using namespace gristmill::http_api_test;

namespace {

std::uint64_t peak_resident_kib() {
  std::ifstream status{"/proc/self/status"};
  std::string word;
  std::uint64_t kib = 0;
  while (status >> word)
    if (word == "VmHWM:") status >> kib;
  return kib;
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool counts_memory = false; // a sanitizer keeps what was freed
#else
constexpr bool counts_memory = true;
#endif

} // namespace

TEST_CASE("an upload becomes a file that a job may read, under a name made safe") {
  const ApiStage stage;
  const auto answer =
      stage.call("POST", "/api/v1/inputs?name=..%2F..%2Fetc%2Fmy%20file.jsonl", "abc\n");
  CHECK(answer.status == 201);
  const json uploaded = json::parse(answer.body);
  const fs::path path = uploaded["path"].get<std::string>();
  CHECK(uploaded["bytes"] == 4);
  CHECK(path.filename() == "my_file.jsonl");
  CHECK(path.parent_path().filename() == uploaded["id"].get<std::string>());
  CHECK(fs::equivalent(path.parent_path().parent_path(), stage.node.directory / "state/inputs"));
  CHECK(read(path) == "abc\n");
  CHECK(stage.submit(path).status == 201);
  REQUIRE(stage.node.submitted.size() == 1);
  CHECK(stage.node.submitted[0].inputs[0].path == path);
}

TEST_CASE("an upload of 64 MiB is kept in flat memory") {
  const ApiStage stage;
  RawHttp client = stage.client();
  REQUIRE(client.call("POST", "/api/v1/inputs", std::string(1u << 20, 'a')).status == 201);
  const std::uint64_t before = peak_resident_kib();
  client.send(RawHttp::request("POST", "/api/v1/inputs?name=big", 64u << 20));
  const std::string piece(1u << 20, 'x');
  for (int i = 0; i < 64; ++i) REQUIRE(client.send(piece));
  const auto answer = client.receive();
  REQUIRE(answer.status == 201);
  const json uploaded = json::parse(answer.body);
  CHECK(uploaded["bytes"] == 64u << 20);
  CHECK(fs::file_size(uploaded["path"].get<std::string>()) == 64u << 20);
  if (counts_memory) CHECK(peak_resident_kib() - before < 16u * 1024);
}

TEST_CASE("nothing stays of an upload that was cut off, nor of one that a kill left") {
  const fs::path directory = [] {
    const ApiStage stage;
    RawHttp client = stage.client();
    client.send(RawHttp::request("POST", "/api/v1/inputs?name=cut", 1'000) + "some");
    while (stage.files() < 2) std::this_thread::yield(); // its directory and its part
    client.close();
    while (stage.files() > 0) std::this_thread::yield();
    return stage.node.directory;
  }();
  fs::create_directories(directory / "inputs/input-1");
  fs::create_directories(directory / "inputs/input-2");
  write(directory / "inputs/input-1/killed.part", "half");
  write(directory / "inputs/input-2/whole", "whole");
  const auto uploads = uploads_test::open_uploads(directory);
  REQUIRE(uploads.has_value());
  CHECK_FALSE(fs::exists(directory / "inputs/input-1"));
  CHECK(fs::exists(directory / "inputs/input-2/whole"));
  fs::remove_all(directory);
}

TEST_CASE("an upload larger than the disk is refused before it is sent") {
  const ApiStage stage;
  RawHttp client = stage.client();
  client.send(RawHttp::request("POST", "/api/v1/inputs?name=x", std::size_t{1} << 60,
                               "Expect: 100-continue\r\n"));
  const auto answer = client.receive();
  CHECK(answer.status == 507);
  CHECK(code_of(answer) == "disk_full");
  CHECK(stage.files() == 0);
}

TEST_CASE("a job reads uploads and files below the data root, and nothing else") {
  const ApiStage stage;
  const fs::path data = stage.node.directory / "data";
  write(data / "in.jsonl", "{}\n");
  write(stage.node.directory / "secret", "secret");
  write(stage.node.directory / "data-beside", "secret");
  fs::create_symlink("../secret", data / "link");
  fs::create_directory(data / "sub");
  CHECK(stage.submit(data / "in.jsonl").status == 201);
  CHECK(stage.submit("in.jsonl").status == 201);
  CHECK(stage.submit("sub/../in.jsonl").status == 201);
  CHECK(stage.node.submitted.back().inputs[0].path == fs::canonical(data / "in.jsonl"));

  for (const std::string& path :
       {std::string{"/etc/passwd"}, (stage.node.directory / "secret").string(),
        (stage.node.directory / "data-beside").string(), (data / "link").string(),
        (data / "../secret").string(), std::string{"../secret"}, std::string{"link"},
        (stage.node.directory / "state/journal.db").string(), std::string{"/proc/self/environ"},
        std::string{"in.jsonl\0/../x", 14}}) {
    const auto answer = stage.submit(path);
    INFO(path);
    CHECK(answer.status == 403);
  }
  CHECK(stage.submit("missing.jsonl").status == 400);
  CHECK(stage.submit("sub").status == 400);
  CHECK(stage.node.submitted.size() == 3);
}

TEST_CASE("a submitted job must be one, and may not say where its result goes") {
  const ApiStage stage;
  write(stage.node.directory / "data/in", "{}\n");
  CHECK(stage.submit("in", {{"output", "/etc/cron.d/x"}}).status == 400);
  CHECK(stage.submit("in", {{"nonsense", 1}}).status == 400);
  for (const char* body : {"", "{", "[]", "{}", "{\"spec\": 1}", "\xff"}) {
    const auto answer = stage.call("POST", "/api/v1/jobs", body);
    CHECK(answer.status == 400);
    CHECK(code_of(answer) == "usage");
  }
  const auto large = stage.call("POST", "/api/v1/jobs", std::string((1u << 20) + 1, ' '));
  CHECK(large.status == 413);
  CHECK(stage.node.submitted.empty());
}

TEST_CASE("parameters travel as they were spelled") {
  const ApiStage stage;
  write(stage.node.directory / "data/in", "{}\n");
  const std::string params = R"({"x":1.50,"y":12345678901234567890123})";
  const auto answer =
      stage.call("POST", "/api/v1/jobs",
                 R"({"spec":{"inputs":[{"path":"in","name":"in"}],"params":)" + params + "}}");
  CHECK(answer.status == 201);
  REQUIRE(stage.node.submitted.size() == 1);
  CHECK(stage.node.submitted[0].shape.params == params);
}

TEST_CASE("a job is shown with its counts") {
  ApiStage stage;
  stage.node.job.counts.total = 10;
  stage.node.job.counts.completed = 4;
  stage.node.job.counts.prompt_tokens = 99;
  stage.node.job.why_waiting = "rate";
  stage.node.job.errors = std::make_shared<const ErrorList>(ErrorList{
      {OutcomeClass::rate, "slow", 429, 30, 2, "slow down", "item-1", "in.jsonl:2", 1'000},
      {OutcomeClass::bad_line, "", 0, 3, 3, "", "", "", 0}}); // of an earlier life
  const json job = json::parse(stage.call("GET", "/api/v1/jobs/job-7").body);
  CHECK(job["id"] == "job-7");
  CHECK(job["state"] == "running");
  CHECK(job["counts"]["completed"] == 4);
  CHECK(job["counts"]["total_known"] == false);
  CHECK(job["tokens"]["prompt"] == 99);
  CHECK(job["why_waiting"] == "rate");
  CHECK(job["errors"][0] == json::parse(R"({"class":"rate","code":"slow","http_status":429,
    "count":30,"final":2,"retried":28,"sample":"slow down","custom_id":"item-1",
    "source":"in.jsonl:2","at":1000})"));
  CHECK(job["errors"][1]["code"].is_null());
  CHECK(job["errors"][1]["at"].is_null());
  const auto read = coordinator::job_view_of(nlohmann::ordered_json::parse(job.dump()));
  REQUIRE(read);
  REQUIRE(read->errors->size() == 2);
  CHECK(said(read->errors->front()) == "HTTP 429 slow: slow down");
  CHECK(read->errors->front().retried() == 28);
  CHECK(job["output"] == (stage.node.directory / "out").string());
  CHECK(json::parse(stage.call("GET", "/api/v1/jobs").body)["jobs"][0] == job);
  CHECK(json::parse(stage.call("POST", "/api/v1/jobs/job-7/cancel").body) == job);
  const json workers = json::parse(stage.call("GET", "/api/v1/workers").body);
  CHECK(workers["workers"][0]["session"] == "3-1");
  CHECK(workers["workers"][0]["capacity"] == 256);
}

TEST_CASE("a worker is drained by name, whatever is in the name") {
  const ApiStage stage;
  const auto answer = stage.call("POST", "/api/v1/workers/gpu-3%20%C3%A4/drain");
  CHECK(answer.status == 200);
  CHECK(json::parse(answer.body)["workers"][0]["name"] == "gpu-3 ä");
  CHECK(stage.node.drained == std::vector<std::string>{"gpu-3 ä"});
  CHECK(stage.call("GET", "/api/v1/workers/gpu-3/drain").status == 405);
  CHECK(stage.call("POST", "/api/v1/workers//drain").status == 404);
  CHECK(stage.call("POST", "/api/v1/workers/a/b/drain").status == 404);
}

TEST_CASE("the result is there when the job is over") {
  ApiStage stage;
  write(stage.node.directory / "out", "{\"line\":1}\n");
  write(stage.node.directory / "out.summary.json", "{}\n");
  for (const JobState state : {JobState::running, JobState::merging, JobState::failed}) {
    stage.node.job.state = state;
    const auto answer = stage.call("GET", "/api/v1/jobs/job-7/results");
    CHECK(answer.status == 409);
    CHECK(code_of(answer) == "conflict");
    CHECK(stage.call("GET", "/api/v1/jobs/job-7/summary").status == 409);
  }
  for (const JobState state : {JobState::finished, JobState::cancelled}) {
    stage.node.job.state = state;
    const auto answer = stage.call("GET", "/api/v1/jobs/job-7/results");
    CHECK(answer.status == 200);
    CHECK(answer.body == "{\"line\":1}\n");
    CHECK(RawHttp::header(answer, "Content-Type") == "application/x-ndjson");
    CHECK(stage.call("GET", "/api/v1/jobs/job-7/summary").body == "{}\n");
  }
}

TEST_CASE("a result on a disk that stands still holds nobody up") {
  ApiStage stage;
  stage.node.job.state = JobState::finished;
  const std::string path = stage.node.directory / "out";
  REQUIRE(::mkfifo(path.c_str(), 0600) == 0); // whoever opens it waits for a writer
  RawHttp waiting = stage.client();
  waiting.send(RawHttp::request("GET", "/api/v1/jobs/job-7/results", 0));
  auto others = std::async(std::launch::async, [&] {
    for (int i = 0; i < 100; ++i)
      if (stage.call("GET", "/healthz").status != 200) return false;
    return true;
  });
  CHECK(others.wait_for(std::chrono::seconds{30}) == std::future_status::ready);
  const FileDescriptor writer{::open(path.c_str(), O_WRONLY)};
  CHECK(others.get());
  CHECK(waiting.receive().status == 200);
}

TEST_CASE("what is not there, or not so, is an error in JSON") {
  const ApiStage stage;
  const auto status = [&](std::string_view method, std::string_view path, const char* code) {
    const auto answer = stage.call(method, path);
    CHECK(code_of(answer) == code);
    CHECK(RawHttp::header(answer, "Content-Type") == "application/json");
    return answer.status;
  };
  CHECK(status("GET", "/", "not_found") == 404);
  CHECK(status("GET", "/api/v1/nothing", "not_found") == 404);
  CHECK(status("GET", "/api/v1/jobs/", "not_found") == 404);
  CHECK(status("GET", "/api/v1/jobs/job-7/x", "not_found") == 404);
  CHECK(status("GET", "/api/v1/jobs/seven", "not_found") == 404);
  CHECK(status("GET", "/api/v1/jobs/job-8", "not_found") == 404);
  CHECK(status("DELETE", "/api/v1/jobs", "method_not_allowed") == 405);
  CHECK(RawHttp::header(stage.call("DELETE", "/api/v1/jobs"), "Allow") == "POST, GET");
}

TEST_CASE("a body that is nested as deeply as it can be is refused") {
  const ApiStage stage;
  const auto nested = [](std::size_t levels) {
    return "{\"budget_usd\":" + std::string(levels, '[') + std::string(levels, ']') + "}";
  };
  for (const std::size_t levels : {1u, 254u, 255u, 256u, 500'000u}) {
    INFO(levels);
    CHECK(stage.call("POST", "/api/v1/jobs/job-7/resume", nested(levels)).status == 400);
    CHECK(stage.call("POST", "/api/v1/jobs", nested(levels)).status == 400);
  }
  CHECK(stage.call("POST", "/api/v1/jobs/job-7/resume", "{\"budget_usd\":1.5}").status == 200);
  CHECK(stage.call("POST", "/api/v1/jobs/job-7/resume", "{}").status == 200);
}

namespace {
const std::pair<const char*, const char*> all_routes[]{{"GET", "/healthz"},
                                                       {"GET", "/readyz"},
                                                       {"GET", "/metrics"},
                                                       {"GET", "/api/v1/events"},
                                                       {"GET", "/api/v1/jobs/job-7/events"},
                                                       {"POST", "/api/v1/inputs?name=x"},
                                                       {"DELETE", "/api/v1/inputs/x"},
                                                       {"POST", "/api/v1/jobs"},
                                                       {"GET", "/api/v1/jobs"},
                                                       {"GET", "/api/v1/jobs/job-7"},
                                                       {"GET", "/api/v1/jobs/job-7/explain"},
                                                       {"POST", "/api/v1/jobs/job-7/cancel"},
                                                       {"POST", "/api/v1/jobs/job-7/pause"},
                                                       {"POST", "/api/v1/jobs/job-7/resume"},
                                                       {"POST", "/api/v1/jobs/job-7/retry"},
                                                       {"POST", "/api/v1/jobs/job-7/appends"},
                                                       {"POST", "/api/v1/jobs/job-7/close"},
                                                       {"DELETE", "/api/v1/jobs/job-7"},
                                                       {"GET", "/api/v1/jobs/job-7/lines"},
                                                       {"GET", "/api/v1/jobs/job-7/results"},
                                                       {"GET", "/api/v1/jobs/job-7/summary"},
                                                       {"GET", "/api/v1/workers"},
                                                       {"POST", "/api/v1/workers/w/drain"},
                                                       {"GET", "/api/v1/pools"},
                                                       {"GET", "/nothing"}};

RawHttp::Answer raw(const ApiStage& stage, std::string_view method, std::string_view path,
                    std::string_view headers) {
  RawHttp client = stage.client();
  client.send(std::string{method} + " " + std::string{path} + " HTTP/1.1\r\n" +
              std::string{headers} + "\r\n");
  return client.receive();
}
} // namespace

TEST_CASE("a page of another site is heard on no route, with a token or without") {
  const ApiStage open, closed{std::string(64, 'a')};
  const std::string good = "Authorization: Bearer " + std::string(64, 'a') + "\r\n";
  for (const auto& [method, path] : all_routes) {
    INFO(method << " " << path);
    CHECK(raw(open, method, path, "Host: evil.example\r\n").status == 403);
    for (const std::string page : {"Origin: http://evil.example\r\n", "Origin: null\r\n",
                                   "Sec-Fetch-Site: cross-site\r\n"}) {
      CHECK(raw(open, method, path, "Host: localhost\r\n" + page).status == 403);
      CHECK(raw(closed, method, path, "Host: any\r\n" + good + page).status == 403);
    }
    CHECK(raw(open, method, path, "Host: localhost\r\nHost: localhost\r\n").status == 400);
  }
  CHECK(open.node.drained.empty());
  CHECK(open.node.submitted.empty());
}

TEST_CASE("a body of another type than the route's is refused, and our own page's is not") {
  const ApiStage stage;
  for (const auto& [method, path] : all_routes) {
    if (std::string_view{path} == "/nothing") continue;
    const bool file = std::string_view{path}.starts_with("/api/v1/inputs?");
    INFO(method << " " << path);
    for (const char* type : {"text/plain", "application/x-www-form-urlencoded",
                             file ? "application/json" : "application/octet-stream"})
      CHECK(stage.call(method, path, "", "Content-Type: " + std::string{type} + "\r\n").status ==
            415);
    const std::string own = "Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n";
    if (std::string_view{method} != "GET") {
      CHECK(stage.call(method, path, "", own).status == 415);
    } else if (std::string_view{path}.find("events") == std::string_view::npos) {
      CHECK(stage.call(method, path, "", own).status != 415);
    }
  }
  const std::string own = "Origin: http://localhost\r\n";
  CHECK(
      stage
          .call("POST", "/api/v1/jobs/job-7/cancel", "", own + "Content-Type: application/json\r\n")
          .status == 200);
  CHECK(stage
            .call("POST", "/api/v1/inputs?name=x", "{}\n",
                  own + "Content-Type: application/octet-stream\r\n")
            .status == 201);
}

TEST_CASE("the scheme of a token is of any case, and there is one of it") {
  const std::string token(64, 'a');
  const ApiStage stage{token};
  const auto with = [&](const std::string& headers) {
    return stage.call("GET", "/api/v1/jobs", "", headers).status;
  };
  CHECK(with("Authorization: bearer " + token + "\r\n") == 200);
  CHECK(with("authorization: BEARER " + token + "\r\n") == 200);
  CHECK(with("Authorization: Bearer" + token + "\r\n") == 401);
  const std::string good = "Authorization: Bearer " + token + "\r\n";
  CHECK(with(good + good) == 400);
  CHECK(with(good + "Authorization: Bearer x\r\n") == 400);
}

TEST_CASE("the list of jobs is asked for in pages") {
  ApiStage stage;
  const auto status = [&](const char* query) {
    return stage.call("GET", std::string{"/api/v1/jobs?"} + query).status;
  };
  CHECK(status("limit=1") == 200);
  CHECK(status("limit=1000&after=job-3") == 200);
  for (const char* wrong : {"limit=0", "limit=1001", "limit=x", "limit=-1", "limit=", "limit=1x",
                            "after=", "after=job-x"}) {
    INFO(wrong);
    CHECK(status(wrong) == 400);
  }
  stage.call("GET", "/api/v1/jobs?limit=5&after=job-3");
  CHECK(stage.node.listed.limit == 5);
  CHECK(stage.node.listed.after == JobId{3});
  stage.call("GET", "/api/v1/jobs");
  CHECK(stage.node.listed.limit == 100);
  stage.node.more = JobId{7};
  const json page = json::parse(stage.call("GET", "/api/v1/jobs").body);
  CHECK(page["has_more"] == true);
  CHECK(page["last_id"] == "job-7");
  stage.node.more = {};
  CHECK(json::parse(stage.call("GET", "/api/v1/jobs").body)["has_more"] == false);
}

TEST_CASE("with a token, everything but the health of the coordinator asks for it") {
  const std::string token(64, 'a');
  const ApiStage stage{token};
  const std::string good = "Authorization: Bearer " + token + "\r\n";
  CHECK(stage.call("GET", "/healthz").status == 200);
  CHECK(stage.call("GET", "/readyz").status == 200);
  const std::pair<const char*, const char*> routes[]{{"POST", "/api/v1/inputs?name=x"},
                                                     {"POST", "/api/v1/jobs"},
                                                     {"GET", "/api/v1/jobs"},
                                                     {"GET", "/api/v1/jobs/job-7"},
                                                     {"POST", "/api/v1/jobs/job-7/cancel"},
                                                     {"GET", "/api/v1/jobs/job-7/results"},
                                                     {"GET", "/api/v1/jobs/job-7/summary"},
                                                     {"GET", "/api/v1/workers"},
                                                     {"POST", "/api/v1/workers/w/drain"},
                                                     {"GET", "/nothing"},
                                                     {"DELETE", "/healthz"}};
  for (const auto& [method, path] : routes) {
    INFO(method << " " << path);
    for (const std::string& wrong :
         {std::string{}, std::string{"Authorization: Bearer\r\n"},
          std::string{"Authorization: Bearer b\r\n"}, "Authorization: Basic " + token + "\r\n",
          "Authorization: Bearer " + token + "a\r\n",
          "Authorization: Bearer " + token.substr(1) + "\r\n"})
      CHECK(stage.call(method, path, "", wrong).status == 401);
    CHECK(stage.call(method, path, "", good).status != 401);
  }
  const auto refused = stage.call("GET", "/api/v1/jobs");
  CHECK(code_of(refused) == "unauthorized");
  CHECK(RawHttp::header(refused, "WWW-Authenticate") == "Bearer");
  CHECK(refused.body.find(token) == std::string::npos);
}

} // namespace http_api_test
