// Results of items that several models were asked: what of them is counted, and what a failed one
// leaves.
#include "actors/merger/line_facts.hpp"
#include "protocol/limits.hpp"
#include "protocol/openai/line/joined_line.hpp"
#include "protocol/part_number.hpp"
#include "tests/unit/actors/merger/merger_harness.hpp"

#include <cmath>

namespace merger_models_test {

using namespace gristmill;
using namespace gristmill::merger_test;
using json = nlohmann::json;

namespace {

struct Said {
  protocol::Outcome outcome;
  std::string label{};
};

Said label(const std::string& text) {
  return {answer("It is " + text), text};
}
Said none() {
  return {own_error("no_label", "expected one of the labels")};
}

// The line of an item that models "a", "b", … were asked; the last of `said` is the judge "j"'s.
std::string line_of_models(std::uint64_t item, const std::vector<Said>& said, bool judge = false) {
  std::vector<std::string> lines;
  std::vector<openai::PartText> texts;
  const auto models = static_cast<std::uint32_t>(said.size() - (judge ? 1 : 0));
  for (std::uint32_t n = 0; n < said.size(); ++n) {
    const bool is_judge = n == models;
    openai::Provenance about;
    about.model = is_judge ? "j" : std::string(1, static_cast<char>('a' + n));
    about.endpoint = "http://" + about.model;
    about.attempts = 1;
    about.latency_ms = 10 * (n + 1);
    about.label = said[n].label;
    about.item = item;
    about.part = (is_judge ? PartNumber::judge(models) : PartNumber{n, 0, 0}).value();
    lines.push_back(openai::result_line(JobId{7}, "x", said[n].outcome, about));
    texts.push_back({said[n].outcome.cls, {}, *about.part});
  }
  for (std::size_t n = 0; n < texts.size(); ++n) texts[n].line = lines[n];
  openai::Provenance about;
  about.item = item;
  about.source = fmt::format("in.jsonl:{}", item + 1);
  return openai::joined_line(JobId{7}, fmt::format("doc-{}", item), about, texts,
                             limits::line_bytes_max)
             .line +
         "\n";
}

JobSpec classify(std::initializer_list<std::string> models) {
  JobSpec spec;
  spec.shape.task = Task::classify;
  spec.shape.labels = {"spam", "ham"};
  spec.shape.models = models;
  return spec;
}

json summary_of(JobSpec spec, const std::vector<std::string>& lines) {
  MemoryFiles files;
  std::string segment;
  for (const std::string& line : lines) segment += line;
  files.segments.push_back(segment);
  MergeTask task = task_of(lines.size());
  spec.shape.order = ResultOrder::input;
  task.spec = std::move(spec);
  return merger_test::summary_of(files, task);
}

struct PaddedLine {
  explicit PaddedLine(std::string text) : bytes{std::move(text)}, size{bytes.size()} {
    bytes.append(merger::line_padding, ' ');
  }
  std::string_view view() const { return std::string_view{bytes}.substr(0, size); }
  std::string bytes;
  std::size_t size;
};

} // namespace

TEST_CASE("votes count by their label, ties by their number, each two models by their agreement") {
  const Said spam = label("spam"), ham = label("ham");
  const auto found =
      summary_of(classify({"a", "b", "c"}),
                 {line_of_models(0, {spam, spam, ham}), line_of_models(1, {ham, ham, ham}),
                  line_of_models(2, {spam, ham, none()}), // a tie, and failed
                  line_of_models(3, {none(), spam, spam})})["classifications"];
  // Of a and b, and of b and c: two of three are agreed, and 4/9 would be by chance.
  CHECK(found == json::parse(R"({"labelled":2,"unlabelled":2,"labels":{
    "spam":{"count":1,"share":0.5},"ham":{"count":1,"share":0.5}},"ties":1,"agreement":[
    {"models":["a","b"],"items":3,"agree":2,"agreement":0.6667,"kappa":0.4},
    {"models":["a","c"],"items":2,"agree":1,"agreement":0.5,"kappa":0.0},
    {"models":["b","c"],"items":3,"agree":2,"agreement":0.6667,"kappa":0.4}]})"));
}

TEST_CASE("a tie without a judge has no label, and with one the judge's") {
  const Said spam = label("spam"), ham = label("ham");
  const auto found =
      summary_of(classify({"a", "b"}),
                 {line_of_models(0, {spam, ham}), line_of_models(1, {spam, ham, ham}, true),
                  line_of_models(2, {spam, spam, ham}, true)})["classifications"];
  CHECK(found["labelled"] == 2);
  CHECK(found["unlabelled"] == 1);
  CHECK(found["labels"]["ham"]["count"] == 2);
  CHECK(found["ties"] == 2);
  REQUIRE(found["agreement"].size() == 1); // the judge is no model of a pair
  CHECK(found["agreement"][0]["items"] == 3);
}

TEST_CASE("without items that both answered, or with one label alone, nothing can be said") {
  const auto list = [](const std::vector<std::string>& lines) {
    return summary_of(classify({"a", "b"}), lines)["classifications"]["agreement"];
  };
  CHECK(
      list({line_of_models(0, {label("spam"), none()}), line_of(1, own_error("cancelled", ""))}) ==
      json::parse(R"([{"models":["a","b"],"items":0,"agree":0,"agreement":null,"kappa":null}])"));
  CHECK(list({line_of_models(0, {label("spam"), label("spam")})}) ==
        json::parse(R"([{"models":["a","b"],"items":1,"agree":1,"agreement":1.0,"kappa":null}])"));
  // Labels are the same as everywhere: whatever the case of A to Z.
  CHECK(list({line_of_models(0, {label("SPAM"), label("spam")})})[0]["agree"] == 1);
  CHECK(list({line_of_models(0, {label("spam"), label("eggs")})})[0]["items"] == 0);
}

TEST_CASE("of one model nothing is compared, whether there is a judge or not") {
  const auto found = summary_of(
      classify({"a"}), {line_of_models(0, {label("spam"), label("ham")}, true)})["classifications"];
  CHECK(found == json::parse(R"({"labelled":1,"unlabelled":0,"labels":{
    "spam":{"count":0,"share":0.0},"ham":{"count":1,"share":1.0}}})"));
  CHECK_FALSE(summary_of(classify({}), {line_of(0)})["classifications"].contains("agreement"));
}

TEST_CASE("each answer counts for its model and endpoint") {
  const Said said{answer("text"), ""};
  const auto summary =
      summary_of({}, {line_of_models(0, {said, said}), line_of_models(1, {said, said, said}, true),
                      line_of_models(2, {said, {own_error("timeout", "late")}})});
  CHECK(summary["models"] == json{{"a", 3}, {"b", 3}, {"j", 1}});
  CHECK(summary["endpoints"] == json{{"http://a", 3}, {"http://b", 3}, {"http://j", 1}});
  CHECK(summary["latency_ms"]["max"] == 30);
}

TEST_CASE("an item that another model failed is a failed one, whatever the first answered") {
  Said odd{answer("text"), ""};
  odd.outcome.body.insert(1, R"("type":"message","code":"fine","message":"well",)");
  const auto summary =
      summary_of({}, {line_of_models(0, {odd, {own_error("timeout", "late")}}),
                      line_of_models(1, {{own_error("timeout", "late")}, odd}),
                      line_of_models(2, {odd, odd, {own_error("timeout", "late")}}, true)});
  REQUIRE(summary["errors"].size() == 2);
  const json& models = summary["errors"][0];
  CHECK(models["code"] == "model_failed");
  CHECK(models["class"] == "timeout");
  CHECK(models["http_status"].is_null());
  CHECK(models["count"] == 2);
  CHECK(models["sample"]["message"] == "model \"b\" failed: timeout: late");
  CHECK(summary["errors"][1]["code"] == "judge_failed");
  CHECK(summary["text"]["answers"] == 0);
}

TEST_CASE("of several embeddings the array and the summary have the first model's") {
  const auto vector = [](const char* numbers) {
    protocol::Outcome outcome;
    outcome.cls = OutcomeClass::ok;
    outcome.http_status = 200;
    outcome.body = fmt::format(R"({{"data":[{{"embedding":{}}}]}})", numbers);
    return Said{outcome, ""};
  };
  MemoryFiles files;
  files.segments.push_back(line_of_models(0, {vector("[3,4]"), vector("[1,1,1]")}) +
                           line_of_models(1, {vector("[6,8]"), {own_error("timeout", "late")}}));
  MergeTask task = task_of(2);
  task.spec.shape.task = Task::embed;
  task.spec.shape.models = {"a", "b"};
  task.spec.output = "out.npy";
  const auto summary = merger_test::summary_of(files, task);
  CHECK(summary["embeddings"]["vectors"] == 1);
  CHECK(summary["embeddings"]["dimensions"] == 2);
  float row[4];
  REQUIRE(files.output.size() > sizeof row);
  std::memcpy(row, files.output.data() + files.output.size() - sizeof row, sizeof row);
  CHECK(row[0] == 3);
  CHECK(row[1] == 4);
  CHECK(std::isnan(row[2]));
  CHECK(std::isnan(row[3]));
  const json id = json::parse(files.ids.substr(files.ids.find('\n') + 1));
  CHECK(id["failed"] == true);
  CHECK(id["error"] ==
        json{{"code", "model_failed"}, {"message", "model \"b\" failed: timeout: late"}});
}

TEST_CASE("a line of endless answers does not fill the memory") {
  for (const std::size_t count :
       {model_answers_max - 1, model_answers_max, model_answers_max + 1, std::size_t{10'000}}) {
    std::string answers = R"({"model":"m","label":"x"})";
    for (std::size_t n = 1; n < count; ++n) answers += R"(,{"model":"m","label":"x"})";
    LineFactsReader reader;
    const PaddedLine line{R"({"response":null,"error":null,"gristmill":{"answers":[)" + answers +
                          "]}}"};
    CHECK(reader.read(line.view()).by_model.size() == std::min(count, model_answers_max));
    CHECK(reader.read(PaddedLine{line_of(0)}.view()).by_model.empty());
  }
}

TEST_CASE("answers and a judge of any shape are read without harm, and wherever a line is cut") {
  LineFactsReader reader;
  for (
      const char* said :
      {R"("answers":7)", R"("answers":[7,null,[]])", R"("answers":[{"model":7,"label":null}])",
       R"("answers":[{"response":[]},{"response":{"body":"x"}},{"response":{"body":{"usage":7}}}])",
       R"("judge":[])", R"("judge":{"response":{"body":null}})", R"("tie":"yes")",
       R"("label":null)"}) {
    const PaddedLine line{fmt::format(
        R"({{"custom_id":"c","response":{{"status_code":200,"body":{{}}}},"error":null,)"
        R"("gristmill":{{{},"model":"m"}}}})",
        said)};
    INFO(said);
    const LineFacts& facts = reader.read(line.view());
    CHECK(facts.model == "m");
    CHECK_FALSE(facts.failed);
    CHECK_FALSE(facts.tie);
    CHECK(facts.label.empty());
  }
  const std::string line = line_of_models(0, {label("spam"), label("ham"), label("ham")}, true);
  for (std::size_t size = 0; size < line.size(); ++size)
    CHECK(reader.read(PaddedLine{line.substr(0, size)}.view()).by_model.size() <= 2);
}

} // namespace merger_models_test
