// The task of a job, its labels and its output: what is refused, and with which sentence.
#include "protocol/job/output_form.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/rules/job_faults.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <functional>

namespace job_spec_task_test {

using namespace gristmill;

namespace {

JobSpec valid(Task task) {
  JobSpec spec;
  spec.inputs = {{"/in.txt", "in.txt"}};
  spec.shape.task = task;
  if (info(task).has_labels) spec.shape.labels = {"spam", "ham"};
  return spec;
}

constexpr const char* with_a_schema =
    R"({"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{}}}})";

using Lines = std::vector<std::string>;

} // namespace

TEST_CASE("Each task without a fault", "[job_spec]") {
  for (const TaskInfo& row : task_infos) CHECK(faults_of(valid(row.task)).empty());
  JobSpec spec = valid(Task::embed);
  spec.output = "/out.npy";
  CHECK(faults_of(spec).empty());
  for (const char* output : {"-", "/out.jsonl.gz", "/out.zst", "/out"}) {
    spec = valid(Task::chat);
    spec.output = output;
    CHECK(faults_of(spec).empty());
  }
}

TEST_CASE("Tasks, labels and outputs that do not fit are named", "[job_spec]") {
  struct Row {
    Task task;
    std::function<void(JobSpec&)> change;
    const char* fault;
  };
  const auto row = GENERATE(values<Row>({
      {Task::embed, [](JobSpec& s) { s.shape.system = "be kind"; },
       "--system: expected none with --task embed, because an embedding has no system message, got "
       "\"be kind\""},
      {Task::embed,
       [](JobSpec& s) {
         s.shape.labels = {"a", "b"};
       },
       "--labels: expected --task classify with it, got --task embed"},
      {Task::embed, [](JobSpec& s) { s.shape.params = with_a_schema; },
       "--json-schema: expected --task chat with it, because the other answers are vectors and "
       "labels, got --task embed"},
      {Task::classify, [](JobSpec& s) { s.shape.params = with_a_schema; },
       "--json-schema: expected --task chat with it, because the other answers are vectors and "
       "labels, got --task classify"},
      {Task::chat, [](JobSpec& s) { s.shape.labels = {"a"}; },
       "--labels: expected --task classify with it, got --task chat"},
      {Task::classify, [](JobSpec& s) { s.shape.labels.clear(); },
       "--labels: expected 2 to 1000 labels with --task classify, got 0"},
      {Task::classify, [](JobSpec& s) { s.shape.labels = {"a"}; },
       "--labels: expected 2 to 1000 labels with --task classify, got 1"},
      {Task::classify,
       [](JobSpec& s) {
         s.shape.labels = {"Spam", "ham", "sPAM"};
       },
       "--labels: expected each label once, in whatever case, got \"sPAM\""},
      {Task::classify,
       [](JobSpec& s) {
         s.shape.labels = {"a", ""};
       },
       "--labels: expected a name, got nothing"},
      {Task::classify,
       [](JobSpec& s) {
         s.shape.labels = {"a", " b"};
       },
       "--labels: expected labels of one line without space around them, got \" b\""},
      {Task::classify,
       [](JobSpec& s) {
         s.shape.labels = {"a", "b\nc"};
       },
       "--labels: expected labels of one line without space around them, got \"b c\""},
      {Task::chat, [](JobSpec& s) { s.output = "/x.npy"; },
       "--output: expected --task embed with an array (.npy), got --task chat"},
      {Task::embed, [](JobSpec& s) { s.output = "/x.npy.gz"; },
       "--output: expected an array without compression, NAME.npy, got \"/x.npy.gz\""},
      {Task::embed,
       [](JobSpec& s) {
         s.output = "/x.npy";
         s.shape.order = ResultOrder::completion;
       },
       "--order: expected input with an array (.npy), whose row N is item N, got completion"},
  }));
  JobSpec spec = valid(row.task);
  row.change(spec);
  CHECK(faults_of(spec) == Lines{row.fault});
}

TEST_CASE("Up to 1,000 labels", "[job_spec]") {
  const auto with = [](std::size_t count) {
    JobSpec spec = valid(Task::classify);
    spec.shape.labels.clear();
    for (std::size_t i = 0; i < count; ++i) spec.shape.labels.push_back(fmt::format("label {}", i));
    return faults_of(spec);
  };
  CHECK(with(999).empty());
  CHECK(with(1'000).empty());
  CHECK(with(1'001) == Lines{"--labels: expected 2 to 1000 labels with --task classify, got 1001"});
}

TEST_CASE("An output's form is in its name", "[output_form]") {
  CHECK(output_form("-") == OutputForm::stream);
  CHECK(output_form("/a/-") == OutputForm::lines);
  CHECK(output_form("/a.npy") == OutputForm::npy);
  CHECK(output_form("/a.jsonl.gz") == OutputForm::gzip);
  CHECK(output_form("/a.zst") == OutputForm::zstd);
  CHECK(output_form("/a.jsonl") == OutputForm::lines);
  CHECK(output_form("") == OutputForm::lines);
}

} // namespace job_spec_task_test
