// A job's one text form, its faults, and what makes it another job.
#include "protocol/job_spec.hpp"
#include "protocol/limits.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <limits>

namespace job_spec_test {

using namespace gristmill;

namespace {

JobSpec whole_spec() {
  JobSpec spec;
  spec.inputs = {{"/data/a.jsonl", "a.jsonl"}, {"/data/b.jsonl", "b.jsonl", 3, 4, 0, "", 7}};
  spec.prompt = "Say \"{{text}}\"\n\xc3\xa9";
  spec.system = "s";
  spec.model = "m";
  spec.params = R"({ "temperature":0.10,"seed":123456789012345678901234567890 })";
  spec.id_field = "i";
  spec.text_field = "t";
  spec.order = "completion";
  spec.endpoints = {{"http://h:8000/v1", "KEY", "", 1, 2, 3},
                    {"https://[::1]:1", "", "/k", 0, 0, 0}};
  spec.requests_per_minute = std::numeric_limits<std::uint64_t>::max();
  spec.tokens_per_minute = 5;
  spec.max_in_flight = std::numeric_limits<std::uint32_t>::max();
  spec.timeout_ms = 7;
  spec.connect_timeout_ms = 8;
  spec.retries = 9;
  spec.batch_size = 10;
  spec.line_bytes_max = 11;
  spec.limit = 12;
  spec.output = "/out";
  spec.weight = 1'000;
  spec.priority = 100;
  spec.deadline = 253'402'300'799;
  spec.max_tokens = 13;
  spec.assume_url = "/v1/completions";
  spec.delimiter = ";";
  spec.skip_blank = spec.no_field_needed = true;
  return spec;
}

std::string error_of(const std::string& text) {
  const auto spec = job_spec_from_json(text);
  REQUIRE_FALSE(spec);
  CHECK(spec.error().code == ErrorCode::usage);
  return spec.error().message;
}

} // namespace

TEST_CASE("A job survives its text form", "[job_spec]") {
  for (const JobSpec& spec : {JobSpec{}, whole_spec()}) {
    const auto read = job_spec_from_json(to_json(spec));
    REQUIRE(read);
    CHECK(*read == spec);
  }
}

TEST_CASE("An input that is a whole file has no member that older nodes do not know") {
  InputSpec input{"/data/a.txt", "a.txt"};
  CHECK(to_json(input).find("offset") == std::string::npos);
  input.offset = 1;
  CHECK(input_spec_from_json(to_json(input)).value() == input);
}

TEST_CASE("Members that are missing keep their defaults", "[job_spec]") {
  CHECK(job_spec_from_json("{}").value() == JobSpec{});
  CHECK(job_spec_from_json(R"({"retries":1,"endpoints":[{"url":"http://h"}]})")->endpoints[0] ==
        EndpointSpec{"http://h", "", "", 0, 0, 0});
}

TEST_CASE("Parameters may be given as an object, and keep their spelling", "[job_spec]") {
  CHECK(job_spec_from_json(R"({"params":{"b": 0.10,"a":1e2}})")->params ==
        R"({"b": 0.10,"a":1e2})");
}

TEST_CASE("A job's text that is wrong names the member", "[job_spec]") {
  struct Row {
    const char* text;
    const char* says;
  };
  const auto row = GENERATE(
      Row{"", "a job in JSON"}, Row{"{", "a job in JSON"}, Row{"{} {}", "a job in JSON"},
      Row{"[]", "job to be an object"}, Row{"{\"params\":[1e999]}", "a job in JSON"},
      Row{R"({"retires":1})", "\"retires\""}, Row{R"({"":1})", "\"\""},
      Row{R"({"endpoints":[{"uri":"x"}]})", "\"endpoints[0].uri\""},
      Row{R"({"inputs":[{"path":"x"},{"nmae":"x"}]})", "\"inputs[1].nmae\""},
      Row{R"({"inputs":{}})", "inputs to be an array"},
      Row{R"({"inputs":["x"]})", "inputs[0] to be an object"},
      Row{R"({"prompt":1})", "prompt to be a string, got 1"},
      Row{R"({"params":[]})", "params to be a string"},
      Row{R"({"retries":-1})", "retries to be an integer from 0 to 4294967295, got -1"},
      Row{R"({"retries":4294967296})", "retries to be an integer"},
      Row{R"({"retries":1.0})", "retries"}, Row{R"({"retries":"1"})", "retries"},
      Row{R"({"retries":true})", "retries"}, Row{R"({"limit":18446744073709551616})", "limit"},
      Row{R"({"endpoints":[{"max_in_flight":-1}]})", "endpoints[0].max_in_flight"});
  INFO(row.text);
  CHECK_THAT(error_of(row.text), Catch::Contains("expected ") && Catch::Contains(row.says));
}

TEST_CASE("A job's text is bounded in bytes and depth", "[job_spec]") {
  CHECK_THAT(error_of(std::string(limits::spec_bytes_max + 1, ' ')), Catch::Contains("bytes"));
  CHECK_THAT(error_of(std::string(1'000'000, '[')), Catch::Contains("levels"));
}

TEST_CASE("A sound job has no faults", "[job_spec]") {
  JobSpec spec = whole_spec();
  CHECK(faults_of(spec).empty());
  spec.model.clear();
  spec.prompt.clear();
  spec.endpoints.clear();
  CHECK(faults_of(spec).empty());
}

TEST_CASE("Each fault of a job has one sentence that names its option", "[job_spec]") {
  struct Row {
    std::function<void(JobSpec&)> spoil;
    const char* says;
  };
  const auto row = GENERATE(
      Row{[](JobSpec& s) { s.inputs.clear(); }, "INPUT: expected at least one"},
      Row{[](JobSpec& s) { s.inputs[0].path.clear(); }, "INPUT"},
      Row{[](JobSpec& s) { s.inputs[0].name = "\xff"; }, "INPUT: expected UTF-8"},
      Row{[](JobSpec& s) { s.task = "sing"; },
          "--task: expected chat, embed or classify, got \"sing\""},
      Row{[](JobSpec& s) { s.weight = 0; }, "--weight: expected 1 to 1000, got 0"},
      Row{[](JobSpec& s) { s.weight = 1'001; }, "--weight"},
      Row{[](JobSpec& s) { s.priority = 101; }, "--priority: expected 0 to 100, got 101"},
      Row{[](JobSpec& s) { s.deadline = 253'402'300'800; }, "--deadline"},
      Row{[](JobSpec& s) { s.prompt = "{{x"; }, "--prompt"},
      Row{[](JobSpec& s) { s.system = "{{}}"; }, "--system"},
      Row{[](JobSpec& s) {
            s.prompt = "Sum up {text}";
            s.no_field_needed = false;
          },
          "--prompt: expected a field of the document"},
      Row{[](JobSpec& s) {
            s.prompt = "\\{{text}}";
            s.no_field_needed = false;
          },
          "--prompt: expected a field of the document"},
      Row{[](JobSpec& s) { s.assume_url = "/v1/files"; }, "--assume-url: expected a path"},
      Row{[](JobSpec& s) { s.assume_url = "http://x/v1/embeddings"; }, "--assume-url"},
      Row{[](JobSpec& s) { s.delimiter = ";;"; }, "--delimiter: expected one ASCII character"},
      Row{[](JobSpec& s) { s.delimiter = "\""; }, "--delimiter"},
      Row{[](JobSpec& s) { s.delimiter = "\n"; }, "--delimiter"},
      Row{[](JobSpec& s) { s.model = std::string(limits::name_bytes_max + 1, 'm'); }, "--model"},
      Row{[](JobSpec& s) { s.params = ""; }, "--param: expected a JSON object"},
      Row{[](JobSpec& s) { s.params = "[]"; }, "--param: expected a JSON object, got an array"},
      Row{[](JobSpec& s) { s.params = "{\"a\":}"; }, "--param"},
      Row{[](JobSpec& s) { s.params = "{\"stream\":true}"; }, "--param: expected no stream"},
      Row{[](JobSpec& s) { s.params = "{\"model\":\"x\"}"; },
          "--param: expected the model in --model"},
      Row{[](JobSpec& s) { s.id_field.clear(); }, "--id-field"},
      Row{[](JobSpec& s) { s.text_field.clear(); }, "--text-field"},
      Row{[](JobSpec& s) { s.order = "random"; }, "--order: expected input or completion"},
      Row{[](JobSpec& s) { s.endpoints[0].api_key_env = "sk-secret"; }, "--api-key-env"},
      Row{[](JobSpec& s) { s.timeout_ms = 0; }, "--timeout"},
      Row{[](JobSpec& s) { s.timeout_ms = 86'400'001; }, "--timeout"},
      Row{[](JobSpec& s) { s.connect_timeout_ms = 0; }, "--connect-timeout"},
      Row{[](JobSpec& s) { s.retries = 1'001; }, "--retries: expected 0 to 1000, got 1001"},
      Row{[](JobSpec& s) { s.batch_size = 0; }, "--batch-size"},
      Row{[](JobSpec& s) { s.batch_size = limits::batch_calls_max + 1; }, "--batch-size"},
      Row{[](JobSpec& s) { s.line_bytes_max = 0; }, "--max-line-bytes"},
      Row{[](JobSpec& s) { s.line_bytes_max = limits::line_bytes_max + 1; }, "--max-line-bytes"});
  JobSpec spec = whole_spec();
  row.spoil(spec);
  const auto faults = faults_of(spec);
  INFO(row.says);
  REQUIRE(faults.size() == 1);
  CHECK_THAT(faults[0], Catch::StartsWith(row.says));
  CHECK_THAT(faults[0], !Catch::Contains("secret"));
}

TEST_CASE("A template may do without a field in the prompt, or by the user's word", "[job_spec]") {
  JobSpec spec = whole_spec();
  spec.no_field_needed = false;
  spec.prompt = "Sum it up.";
  spec.system = "{{text}}";
  CHECK(faults_of(spec).empty());
  spec.system.clear();
  CHECK(faults_of(spec).size() == 1);
  spec.no_field_needed = true;
  CHECK(faults_of(spec).empty());
  spec.no_field_needed = false;
  spec.prompt.clear(); // the document itself
  CHECK(faults_of(spec).empty());
}

TEST_CASE("A job that asks for nothing new has no member that older nodes do not know") {
  const std::string text = to_json(JobSpec{});
  for (const char* member : {"\"max_tokens\"", "\"assume_url\"", "\"delimiter\"", "\"skip_blank\"",
                             "\"no_field_needed\""})
    CHECK(text.find(member) == std::string::npos);
}

TEST_CASE("All faults are told at once", "[job_spec]") {
  JobSpec spec = whole_spec();
  spec.task = "x";
  spec.order = "x";
  spec.batch_size = 0;
  CHECK(faults_of(spec).size() == 3);
}

TEST_CASE("An endpoint is a plain base URL", "[job_spec]") {
  JobSpec spec = whole_spec();
  for (const auto* url : {"http://h", "https://api.openai.com/v1", "http://127.0.0.1:1",
                          "http://[::1]:8000/a/b", "http://my_host-1.x/v1", "http://h:65535/@x"}) {
    INFO(url);
    spec.endpoints[0].url = url;
    CHECK(faults_of(spec).empty());
  }
  for (const auto* url : {"",
                          "h",
                          "ftp://h",
                          "HTTP//h",
                          "http://",
                          "http:///v1",
                          "http://h/",
                          "http://h/v1/",
                          "http://h?x",
                          "http://h/v1?k=1",
                          "http://h#f",
                          "http://user:secret@h",
                          "http://secret@h/v1",
                          "http://h:",
                          "http://h:0",
                          "http://h:65536",
                          "http://h:x",
                          "http://h h",
                          "http://h\\v1",
                          "http://h\n",
                          "http://\xc3\xa9",
                          "http://[::1",
                          "http://[]",
                          "http://[x]"}) {
    INFO(url);
    spec.endpoints[0].url = url;
    const auto faults = faults_of(spec);
    REQUIRE(faults.size() == 1);
    CHECK_THAT(faults[0], Catch::StartsWith("--endpoint: expected ") && !Catch::Contains("secret"));
  }
}

TEST_CASE("The first identifying difference is named by its option", "[job_spec]") {
  struct Row {
    std::function<void(JobSpec&)> change;
    const char* option;
  };
  const auto row = GENERATE(Row{[](JobSpec& s) { s.inputs.pop_back(); }, "INPUT"},
                            Row{[](JobSpec& s) { s.task = "x"; }, "--task"},
                            Row{[](JobSpec& s) { s.prompt = "x"; }, "--prompt"},
                            Row{[](JobSpec& s) { s.system = "x"; }, "--system"},
                            Row{[](JobSpec& s) { s.model = "x"; }, "--model"},
                            Row{[](JobSpec& s) { s.params = "{}"; }, "--param"},
                            Row{[](JobSpec& s) { s.id_field = "x"; }, "--id-field"},
                            Row{[](JobSpec& s) { s.text_field = "x"; }, "--text-field"},
                            Row{[](JobSpec& s) { s.order = "input"; }, "--order"},
                            Row{[](JobSpec& s) { s.max_tokens = 0; }, "--max-tokens"},
                            Row{[](JobSpec& s) { s.assume_url.clear(); }, "--assume-url"},
                            Row{[](JobSpec& s) { s.delimiter = "|"; }, "--delimiter"},
                            Row{[](JobSpec& s) { s.skip_blank = false; }, "--skip-blank"},
                            Row{[](JobSpec& s) { s.no_field_needed = false; }, ""},
                            Row{[](JobSpec& s) {
                                  s.weight = s.priority = 9;
                                  s.deadline = 99;
                                  s.limit = s.retries = s.timeout_ms = s.batch_size =
                                      s.max_in_flight = 99;
                                },
                                ""},
                            Row{[](JobSpec& s) { s.endpoints.clear(); }, ""},
                            Row{[](JobSpec& s) { s.output = "x"; }, ""});
  JobSpec now = whole_spec();
  row.change(now);
  CHECK(identity_difference(whole_spec(), now) == row.option);
}

TEST_CASE("What lines call that name nothing may be said later, when all of them have failed",
          "[job_spec]") {
  JobSpec before = whole_spec();
  before.assume_url.clear();
  CHECK(identity_difference(before, whole_spec()).empty());
}

} // namespace job_spec_test
