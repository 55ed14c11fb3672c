// What an explanation says of an item that may have its line, and when nobody looks for one.
#include "coordinator/http/api/explain.hpp"

#include "protocol/node/messages.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/coordinator/http/api/resource_harness.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <optional>

namespace explain_test {

using namespace gristmill;
using nlohmann::json;
using namespace gristmill::resource_test;
using store_test::TempDirectory;

namespace {

// A node that gives this reason, and a segment with one item.
struct Explained {
  TempDirectory temp;
  std::string place = temp / "/results-000001.jsonl";
  WaitKind kind = WaitKind::recorded;
  OutcomeClass cls = OutcomeClass::ok;
  std::string message{};
  std::optional<openai::ModelAnswers> models{};
  std::size_t looked = 0; // for lines
  Error failure = {ErrorCode::io, ""};
  NotingNode node{.says = [this](const Question&) {
    wiring::Answer answer;
    answer.explanation.emplace();
    answer.explanation->job = JobId{7};
    answer.explanation->reason.kind = kind;
    answer.explanation->sentence = "as the node says";
    return answer;
  }};
  ExplainResource explain{node.ask(), [this](JobId, journal::LineKind) { return lines(); }};

  Result<std::shared_ptr<journal::JobLines>> lines() {
    ++looked;
    if (!failure.message.empty()) return tl::unexpected{failure};
    protocol::Outcome outcome;
    outcome.cls = cls;
    outcome.http_status = 200;
    outcome.body = "{}";
    outcome.message = message;
    openai::Provenance about;
    about.item = 3;
    about.attempts = 5;
    about.endpoint = "http://a";
    about.models = models;
    const std::string line = openai::result_line(JobId{7}, "a", outcome, about) + "\n";
    std::filesystem::remove(place);
    store_test::append_to(place, line);
    return std::make_shared<SegmentFiles>(temp / "", std::vector{StoredSegment{1, line.size()}});
  }
  json of(std::map<std::string, std::string, std::less<>> query) {
    return json::parse(call(explain, {"GET", "/api/v1/jobs/job-7/explain", std::move(query)}).body);
  }
};

} // namespace

TEST_CASE("a job as a whole has no line, and neither has an item that waits") {
  Explained stage;
  CHECK(stage.of({})["sentence"] == "as the node says");
  stage.kind = WaitKind::queued;
  const json said = stage.of({{"item", "a"}});
  CHECK(said["sentence"] == "as the node says");
  CHECK(said["kind"] == "queued");
  CHECK_FALSE(said.contains("result"));
  CHECK(stage.looked == 0);
  CHECK(stage.node.at<wiring::ExplainJob>(1).item->id == "a");
}

TEST_CASE("what became of an item stands in its line") {
  Explained stage;
  for (const WaitKind kind : {WaitKind::recorded, WaitKind::not_open, WaitKind::over}) {
    stage.kind = kind;
    for (const auto& [name, value] : {std::pair{"item", "a"}, std::pair{"number", "4"}}) {
      const json said = stage.of({{name, value}});
      CHECK(said["kind"] == "recorded");
      CHECK(said["sentence"].get<std::string>().starts_with("answered"));
      CHECK(said["remedy"].is_null());
      CHECK(said["result"]["offset"] == 0);
      CHECK(said["result"]["file"] == stage.place);
    }
  }
  CHECK(stage.node.at<wiring::ExplainJob>(1).item->item == 3); // numbers begin with 1
  stage.cls = OutcomeClass::timeout;
  const json failed = stage.of({{"item", "a"}});
  CHECK(failed["sentence"].get<std::string>().starts_with("failed as timeout"));
  CHECK(failed["remedy"] == "`gristmill retry job-7`, when the job is over");
}

TEST_CASE("of several models none is named as the one that answered or failed") {
  Explained stage;
  CHECK(stage.of({{"item", "a"}})["sentence"].get<std::string>().starts_with(
      "answered by http://a at attempt 5;"));
  stage.models.emplace();
  stage.models->response = R"({"status_code":200,"body":{}})";
  stage.models->answers = "[]";
  const json answered = stage.of({{"item", "a"}});
  CHECK(answered["sentence"].get<std::string>().starts_with("answered after 5 attempts;"));
  CHECK(answered["result"]["status_code"] == 200);
  CHECK(answered["result"]["endpoint"].is_null());
  stage.cls = OutcomeClass::timeout;
  stage.message = "model \"b\" failed: timeout: late";
  const json failed = stage.of({{"item", "a"}});
  CHECK(failed["sentence"].get<std::string>().starts_with(
      "failed as timeout after 5 attempts: model \"b\" failed: timeout: late;"));
  CHECK(failed["result"]["status_code"].is_null()); // the first model's is not what ended it
  CHECK(failed["result"]["message"] == stage.message);
}

TEST_CASE("an item without a line is said to have none, unless the node knows better") {
  Explained stage;
  stage.kind = WaitKind::not_open;
  CHECK(stage.of({{"item", "b"}})["sentence"] ==
        "no line of this item is recorded: the job has none of this id, or has not read it yet");
  stage.kind = WaitKind::over;
  CHECK(stage.of({{"item", "b"}})["sentence"] ==
        "no line of this item is recorded, and as the node says");
  stage.kind = WaitKind::recorded;
  CHECK(stage.of({{"item", "b"}})["sentence"] == "as the node says");
}

TEST_CASE("a question that names an item in two ways, or none, is refused") {
  Explained stage;
  using Query = std::map<std::string, std::string, std::less<>>;
  for (const Query& query : {Query{{"item", ""}}, Query{{"number", "0"}}, Query{{"number", "x"}},
                             Query{{"number", ""}}, Query{{"item", "a"}, {"number", "1"}}})
    CHECK(stage.of(query)["error"]["code"] == "usage");
  CHECK(stage.node.asked.empty());
}

TEST_CASE("segments that cannot be had are an error, and not the want of a line") {
  Explained stage;
  stage.failure.message = "cannot list";
  CHECK(stage.of({{"item", "a"}})["error"]["message"] == "cannot list");
}

} // namespace explain_test
