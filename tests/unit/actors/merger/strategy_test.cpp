// What embeddings and classifications add to the summary, and which task gets which.
#include "actors/merger/strategy.hpp"
#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/actors/merger/merger_harness.hpp"

namespace strategy_test {

using namespace gristmill;
using namespace gristmill::merger_test;

namespace {

nlohmann::json summary_of(JobSpec spec, const std::vector<std::string>& lines) {
  MemoryFiles files;
  std::string segment;
  for (const std::string& line : lines) segment += line;
  files.segments.push_back(segment);
  MergeTask task = task_of(lines.size());
  spec.shape.order = ResultOrder::input;
  task.spec = std::move(spec);
  return summary_of(files, task);
}

protocol::Outcome embeddings(const std::string& data) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.body = R"({"data":[)" + data + "]}";
  return outcome;
}

std::string labelled(std::uint64_t item, std::string label) {
  openai::Provenance about;
  about.label = std::move(label);
  return line_of(item, answer("whatever"), about);
}

} // namespace

TEST_CASE("Each task has its aggregates and no others", "[strategy]") {
  struct Row {
    Task task;
    const char* name;
  };
  const auto row = GENERATE(Row{Task::chat, "text"}, Row{Task::embed, "embeddings"},
                            Row{Task::classify, "classifications"});
  JobSpec spec;
  spec.shape.task = row.task;
  const auto summary = summary_of(spec, {line_of(0)});
  for (const char* name : {"text", "embeddings", "classifications"})
    CHECK(summary.contains(name) == (std::string_view{name} == row.name));
}

TEST_CASE("Embeddings: count, dimensions and norms", "[strategy]") {
  JobSpec spec;
  spec.shape.task = Task::embed;
  const auto summary = summary_of(
      spec,
      {line_of(0, embeddings(R"({"embedding":[3,4]})")),
       line_of(1, embeddings(R"({"embedding":[0,0]},{"embedding":"AACAPwAAIMA="})")),
       line_of(2, embeddings(R"({"embedding":[1,2,2]},{"embedding":["x"]})")),
       line_of(3, embeddings(R"({"embedding":[null,1]})")), line_of(4, own_error("timeout", ""))});
  CHECK(summary["embeddings"] == nlohmann::json::parse(R"({"vectors":5,"dimensions":2,
    "other_dimensions":1,"zero_vectors":1,"not_finite":1,"unreadable":1,
    "norm":{"mean":2.673146,"min":0.0,"max":5.0}})"));
}

TEST_CASE("Embeddings: without one there is no norm", "[strategy]") {
  JobSpec spec;
  spec.shape.task = Task::embed;
  const auto found = summary_of(spec, {line_of(0, own_error("timeout", ""))})["embeddings"];
  CHECK(found["vectors"] == 0);
  CHECK(found["norm"]["mean"].is_null());
}

TEST_CASE("Classifications: count and share of each label, and those without", "[strategy]") {
  JobSpec spec;
  spec.shape.task = Task::classify;
  spec.shape.labels = {"spam", "ham", "other"};
  const auto summary =
      summary_of(spec, {labelled(0, "spam"), labelled(1, "ham"), labelled(2, "spam"),
                        line_of(3, own_error("no_label", "expected one of"))});
  CHECK(summary["classifications"] == nlohmann::json::parse(R"({"labelled":3,"unlabelled":1,
    "labels":{"spam":{"count":2,"share":0.6667},"ham":{"count":1,"share":0.3333},
              "other":{"count":0,"share":0.0}}})"));
}

} // namespace strategy_test
