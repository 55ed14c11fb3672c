// What the API makes of an append before the job is asked, and of what the job says.
#include "tests/unit/coordinator/http/http_api_harness.hpp"

namespace appends_test {

using namespace gristmill;
using namespace gristmill::http_api_test;
using gristmill::http_api_test::json;

RawHttp::Answer append(const ApiStage& stage, const std::string& path, const json& more = {}) {
  json body{{"inputs", {{{"path", path}, {"name", "in.jsonl"}}}}};
  if (more.is_object()) body.update(more);
  return stage.call("POST", "/api/v1/jobs/job-7/appends", body.dump());
}

std::string uploaded(const ApiStage& stage, std::string_view text, const char* member) {
  const auto answer = stage.call("POST", "/api/v1/inputs?name=a.jsonl", text,
                                 "Content-Type: application/octet-stream\r\n");
  REQUIRE(answer.status == 201);
  return json::parse(answer.body)[member];
}

TEST_CASE("without a key the contents and their names are the key, wherever they lie") {
  ApiStage stage;
  write(stage.node.directory / "data/a.jsonl", "{}\n");
  const auto first = append(stage, "a.jsonl");
  INFO(first.body);
  REQUIRE(first.status == 200);
  CHECK(append(stage, uploaded(stage, "{}\n", "path")).status == 200);
  CHECK(append(stage, uploaded(stage, "{} \n", "path"), {{"key", "k"}}).status == 200);
  const auto& appended = stage.node.appended;
  REQUIRE(appended.size() == 3);
  CHECK(appended[0].key == appended[0].hash);
  CHECK(appended[0].bytes == 3);
  CHECK(appended[1].hash == appended[0].hash);
  CHECK(appended[2].key == "k");
  CHECK(appended[2].hash != appended[0].hash);
  CHECK(json::parse(first.body) == json{{"job", "job-7"},
                                        {"key", appended[0].key},
                                        {"number", 1},
                                        {"repeated", false},
                                        {"inputs", 1}});
}

TEST_CASE("an upload that the job refuses or has already may be discarded at once") {
  ApiStage stage;
  const auto discard = [&](bool refuses, bool repeats) {
    stage.node.refuses = refuses;
    stage.node.repeats = repeats;
    const std::string path = uploaded(stage, "{}\n", "path");
    const std::string id = fs::path{path}.parent_path().filename();
    CHECK(append(stage, path).status == (refuses ? 409 : 200));
    return stage.call("DELETE", "/api/v1/inputs/" + id).status;
  };
  CHECK(discard(true, false) == 200);
  CHECK(discard(false, true) == 200);
  CHECK(discard(false, false) == 409);
}

TEST_CASE("what is no append is refused before the job is asked") {
  ApiStage stage;
  write(stage.node.directory / "data/a.jsonl", "{}\n");
  CHECK(append(stage, "none.jsonl").status == 400);
  CHECK(append(stage, "/etc/passwd").status == 403);
  for (const json& more :
       {json{{"key", ""}}, json{{"key", 7}}, json{{"key", std::string(257, 'k')}},
        json{{"other", 1}}, json{{"inputs", json::array()}}, json{{"inputs", {{{"path", "a"}}}}}})
    CHECK(append(stage, "a.jsonl", more).status == 400);
  CHECK(stage.call("POST", "/api/v1/jobs/job-7/appends", "nonsense").status == 400);
  CHECK(stage.node.appended.empty());
}

} // namespace appends_test
