// A job's one text form, its faults, and what makes it another job.
#include "protocol/job/options.hpp"
#include "protocol/job/spec.hpp"
#include "protocol/limits.hpp"
#include "protocol/rules/job_faults.hpp"

#include <catch2/catch.hpp>
#include <functional>
#include <limits>
#include <set>

namespace job_spec_test {

using namespace gristmill;

namespace {

JobSpec whole_spec() {
  JobSpec spec;
  spec.inputs = {{"/data/a.jsonl", "a.jsonl"}, {"/data/b.jsonl", "b.jsonl", 3, 4, 0, "", 7}};
  spec.shape.prompt = "Say \"{{text}}\"\n\xc3\xa9";
  spec.shape.system = "s";
  spec.shape.models = {"m"};
  spec.shape.params = R"({ "temperature":0.10,"seed":123456789012345678901234567890 })";
  spec.shape.id_field = "i";
  spec.shape.text_field = "t";
  spec.shape.order = ResultOrder::completion;
  spec.endpoints = {{"http://h:8000/v1", "KEY", "", 1, 2, 3},
                    {"https://[::1]:1", "", "/k", 0, 0, 0}};
  spec.limits.rates.requests_per_minute = std::numeric_limits<std::uint64_t>::max();
  spec.limits.rates.tokens_per_minute = 5;
  spec.limits.rates.max_in_flight = std::numeric_limits<std::uint32_t>::max();
  spec.policy.timeout_ms = 7;
  spec.policy.connect_timeout_ms = 8;
  spec.policy.retries = 9;
  spec.policy.batch_size = 10;
  spec.limits.line_bytes_max = 11;
  spec.limits.items = 12;
  spec.output = "/out";
  spec.share.weight = 1'000;
  spec.share.priority = 100;
  spec.share.deadline = 253'402'300'799;
  spec.shape.max_tokens = 13;
  spec.shape.assume_url = "/v1/completions";
  spec.shape.delimiter = ";";
  spec.shape.drop_empty = spec.shape.normalise = spec.policy.no_field_needed = true;
  spec.shape.where = {"lang=en", "a,b!="};
  spec.shape.format = InputForm::lines;
  spec.shape.sample = Percentage::of(12.5).value();
  spec.shape.sample_seed = 14;
  return spec;
}

JobSpec chunked_spec() {
  JobSpec spec = whole_spec();
  spec.shape.chunk_tokens = 1'000;
  spec.shape.chunk_overlap = 100;
  spec.shape.reduce_prompt = "As one: {{answers}}";
  spec.shape.tokenizer = "o200k_base@" + std::string(64, '0');
  spec.tokenizer_file = "/ranks.tiktoken";
  spec.shape.judge_model = "j";
  spec.shape.judge_prompt = "{{answer.1}}?";
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
  for (const JobSpec& spec : {JobSpec{}, whole_spec(), chunked_spec()}) {
    const auto read = job_spec_from_json(to_json(spec));
    REQUIRE(read);
    CHECK(*read == spec);
  }
}

TEST_CASE("An input survives its text form", "[job_spec]") {
  const InputSpec input{"/data/a.txt", "a.txt", 3, 4, 0, "d", 1};
  CHECK(input_spec_from_json(to_json(input)).value() == input);
}

TEST_CASE("Members of another release are skipped among nodes, and refused from users",
          "[job_spec]") {
  const std::string text =
      R"({"later":[{"a":1}],"retries":7,"endpoints":[{"url":"http://h","newer":2}]})";
  CHECK_THAT(error_of(text), Catch::Contains("\"later\""));
  const auto spec = job_spec_from_json(text, Unknown::skipped);
  REQUIRE(spec);
  CHECK(spec->policy.retries == 7);
  CHECK(spec->endpoints.at(0).url == "http://h");
}

TEST_CASE("Workers are told what makes a request, and nothing else", "[job_spec]") {
  const JobSpec whole = chunked_spec();
  const auto told = job_spec_from_json(json_for_workers(whole));
  REQUIRE(told);
  JobSpec expected;
  expected.shape = whole.shape;
  expected.shape.order = {}; // these decide about lines, not about calls
  expected.shape.delimiter.clear();
  expected.shape.tokenizer.clear();
  expected.shape.drop_empty = expected.shape.normalise = false;
  expected.shape.where.clear();
  expected.shape.format = {};
  expected.shape.sample = {};
  expected.shape.sample_seed = 0;
  expected.shape.judge_model.clear();                             // it is the call's
  expected.shape.chunk_tokens = expected.shape.chunk_overlap = 0; // a call's item is its chunk
  expected.policy.timeout_ms = whole.policy.timeout_ms;
  expected.policy.connect_timeout_ms = whole.policy.connect_timeout_ms;
  CHECK(*told == expected);
}

TEST_CASE("Each option has a name and a flag of its own, and a default that is allowed",
          "[job_spec]") {
  std::set<std::string_view> names, flags;
  for (const JobOption& option : job_options()) {
    CAPTURE(option.name);
    CHECK(names.insert(option.name).second);
    CHECK((option.flag.empty() || flags.insert(option.flag).second));
    CHECK((option.identity == Identity::free || !option.flag.empty()));
  }
  JobSpec spec;
  spec.inputs = {{"/a", "a"}};
  CHECK(faults_of(spec).empty());
}

TEST_CASE("Members that are missing keep their defaults", "[job_spec]") {
  CHECK(job_spec_from_json("{}").value() == JobSpec{});
  CHECK(job_spec_from_json(R"({"retries":1,"endpoints":[{"url":"http://h"}]})")->endpoints[0] ==
        EndpointSpec{"http://h", "", "", 0, 0, 0});
}

TEST_CASE("Parameters may be given as an object, and keep their spelling", "[job_spec]") {
  CHECK(job_spec_from_json(R"({"params":{"b": 0.10,"a":1e2}})")->shape.params ==
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
      Row{R"({"task":"sing"})", "task to be chat, embed or classify, got \"sing\""},
      Row{R"({"order":1})", "order to be input or completion, got 1"},
      Row{R"({"endpoints":[{"token_counting":""}]})",
          "endpoints[0].token_counting to be usage or reserved"},
      Row{R"({"inputs":{}})", "inputs to be an array"},
      Row{R"({"inputs":["x"]})", "inputs[0] to be an object"},
      Row{R"({"prompt":1})", "prompt to be a string, got 1"},
      Row{R"({"params":[]})", "params to be a string"},
      Row{R"({"chunk_tokens":-1})", "chunk_tokens to be an integer from 0 to 4294967295, got -1"},
      Row{R"({"chunk_overlap":"9"})", "chunk_overlap to be an integer"},
      Row{R"({"reduce_prompt":7})", "reduce_prompt to be a string, got 7"},
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
  CHECK(faults_of(chunked_spec()).empty());
  JobSpec spec = whole_spec();
  CHECK(faults_of(spec).empty());
  spec.shape.models.clear();
  spec.shape.prompt.clear();
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
      Row{[](JobSpec& s) { s.share.weight = 0; }, "--weight: expected 1 to 1000, got 0"},
      Row{[](JobSpec& s) { s.share.weight = 1'001; }, "--weight"},
      Row{[](JobSpec& s) { s.share.priority = 101; }, "--priority: expected 0 to 100, got 101"},
      Row{[](JobSpec& s) { s.share.deadline = 253'402'300'800; }, "--deadline"},
      Row{[](JobSpec& s) { s.shape.prompt = "{{x"; }, "--prompt"},
      Row{[](JobSpec& s) { s.shape.system = "{{}}"; }, "--system"},
      Row{[](JobSpec& s) {
            s.shape.prompt = "Sum up {text}";
            s.policy.no_field_needed = false;
          },
          "--prompt: expected a field of the document"},
      Row{[](JobSpec& s) {
            s.shape.prompt = "\\{{text}}";
            s.policy.no_field_needed = false;
          },
          "--prompt: expected a field of the document"},
      Row{[](JobSpec& s) { s.shape.assume_url = "/v1/files"; }, "--assume-url: expected a path"},
      Row{[](JobSpec& s) { s.shape.assume_url = "http://x/v1/embeddings"; }, "--assume-url"},
      Row{[](JobSpec& s) { s.shape.delimiter = ";;"; },
          "--delimiter: expected one ASCII character"},
      Row{[](JobSpec& s) { s.shape.delimiter = "\""; }, "--delimiter"},
      Row{[](JobSpec& s) { s.shape.delimiter = "\n"; }, "--delimiter"},
      Row{[](JobSpec& s) { s.shape.models = {std::string(limits::name_bytes_max + 1, 'm')}; },
          "--model"},
      Row{[](JobSpec& s) { s.shape.params = ""; }, "--param: expected a JSON object"},
      Row{[](JobSpec& s) { s.shape.params = "[]"; },
          "--param: expected a JSON object, got an array"},
      Row{[](JobSpec& s) { s.shape.params = "{\"a\":}"; }, "--param"},
      Row{[](JobSpec& s) { s.shape.params = "{\"stream\":true}"; }, "--param: expected no stream"},
      Row{[](JobSpec& s) { s.shape.params = "{\"model\":\"x\"}"; },
          "--param: expected the model in --model"},
      Row{[](JobSpec& s) { s.shape.id_field.clear(); }, "--id-field"},
      Row{[](JobSpec& s) { s.shape.text_field.clear(); }, "--text-field"},
      Row{[](JobSpec& s) { s.endpoints[0].api_key_env = "sk-secret"; }, "--api-key-env"},
      Row{[](JobSpec& s) { s.policy.timeout_ms = 0; }, "--timeout"},
      Row{[](JobSpec& s) { s.policy.timeout_ms = 86'400'001; }, "--timeout"},
      Row{[](JobSpec& s) { s.policy.connect_timeout_ms = 0; }, "--connect-timeout"},
      Row{[](JobSpec& s) { s.policy.retries = 1'001; }, "--retries: expected 0 to 1000, got 1001"},
      Row{[](JobSpec& s) { s.policy.batch_size = 0; }, "--batch-size"},
      Row{[](JobSpec& s) { s.policy.batch_size = limits::batch_calls_max + 1; }, "--batch-size"},
      Row{[](JobSpec& s) { s.limits.line_bytes_max = 0; }, "--max-line-bytes"},
      Row{[](JobSpec& s) { s.limits.line_bytes_max = limits::line_bytes_max + 1; },
          "--max-line-bytes"});
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
  spec.policy.no_field_needed = false;
  spec.shape.prompt = "Sum it up.";
  spec.shape.system = "{{text}}";
  CHECK(faults_of(spec).empty());
  spec.shape.system.clear();
  CHECK(faults_of(spec).size() == 1);
  spec.policy.no_field_needed = true;
  CHECK(faults_of(spec).empty());
  spec.policy.no_field_needed = false;
  spec.shape.prompt.clear(); // the document itself
  CHECK(faults_of(spec).empty());
}

TEST_CASE("All faults are told at once", "[job_spec]") {
  JobSpec spec = whole_spec();
  spec.shape.labels = {"a"};
  spec.shape.id_field.clear();
  spec.policy.batch_size = 0;
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
                            Row{[](JobSpec& s) { s.shape.task = Task::embed; }, "--task"},
                            Row{[](JobSpec& s) { s.shape.prompt = "x"; }, "--prompt"},
                            Row{[](JobSpec& s) { s.shape.system = "x"; }, "--system"},
                            Row{[](JobSpec& s) { s.shape.models = {"x"}; }, "--model"},
                            Row{[](JobSpec& s) { s.shape.params = "{}"; }, "--param"},
                            Row{[](JobSpec& s) { s.shape.id_field = "x"; }, "--id-field"},
                            Row{[](JobSpec& s) { s.shape.text_field = "x"; }, "--text-field"},
                            Row{[](JobSpec& s) { s.shape.order = ResultOrder::input; }, "--order"},
                            Row{[](JobSpec& s) { s.shape.max_tokens = 0; }, "--max-tokens"},
                            Row{[](JobSpec& s) { s.shape.assume_url.clear(); }, "--assume-url"},
                            Row{[](JobSpec& s) { s.shape.delimiter = "|"; }, "--delimiter"},
                            Row{[](JobSpec& s) { s.shape.drop_empty = false; }, "--drop-empty"},
                            Row{[](JobSpec& s) { s.shape.normalise = false; }, "--normalise"},
                            Row{[](JobSpec& s) { s.shape.where.pop_back(); }, "--where"},
                            Row{[](JobSpec& s) { s.shape.format = {}; }, "--format"},
                            Row{[](JobSpec& s) { s.shape.sample = {}; }, "--sample"},
                            Row{[](JobSpec& s) { s.shape.sample_seed = 1; }, "--seed"},
                            Row{[](JobSpec& s) { s.shape.judge_model = "x"; }, "--judge-model"},
                            Row{[](JobSpec& s) { s.shape.judge_prompt = "x"; }, "--judge-prompt"},
                            Row{[](JobSpec& s) { s.shape.chunk_tokens = 99; }, "--chunk-tokens"},
                            Row{[](JobSpec& s) { s.shape.chunk_overlap = 9; }, "--chunk-overlap"},
                            Row{[](JobSpec& s) { s.shape.reduce_prompt = "x"; }, "--reduce-prompt"},
                            Row{[](JobSpec& s) { s.shape.tokenizer.clear(); }, "--tokenizer"},
                            Row{[](JobSpec& s) { s.tokenizer_file = "x"; }, ""},
                            Row{[](JobSpec& s) { s.policy.no_field_needed = false; }, ""},
                            Row{[](JobSpec& s) {
                                  s.share.weight = s.share.priority = 9;
                                  s.share.deadline = 99;
                                  s.limits.items = s.policy.retries = s.policy.timeout_ms =
                                      s.policy.batch_size = s.limits.rates.max_in_flight = 99;
                                },
                                ""},
                            Row{[](JobSpec& s) { s.endpoints.clear(); }, ""},
                            Row{[](JobSpec& s) { s.output = "x"; }, ""});
  JobSpec now = chunked_spec();
  row.change(now);
  CHECK(identity_difference(chunked_spec(), now) == row.option);
}

TEST_CASE("What lines call that name nothing may be said later, when all of them have failed",
          "[job_spec]") {
  JobSpec before = whole_spec();
  before.shape.assume_url.clear();
  CHECK(identity_difference(before, whole_spec()).empty());
}

} // namespace job_spec_test
