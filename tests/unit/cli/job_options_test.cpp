// What options of a job amount to, where that is more than a copy; and the keys that `run` misses.
#include "cli/job_options.hpp"

#include "actors/kit/program/config_options.hpp"
#include "cli/run/keys.hpp"
#include "tests/unit/coordinator/journal/sqlite_store_harness.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>

namespace job_options_test {

using namespace gristmill;
using namespace gristmill::cli;

namespace {

JobSpec spec_of(std::vector<std::string> arguments) {
  JobOptions options;
  CLI::App app;
  options.add_to(app, "");
  arguments.push_back("in.jsonl");
  std::reverse(arguments.begin(), arguments.end());
  app.parse(arguments);
  return options.spec().value();
}

std::string key_of(const std::string& url, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"--endpoint", url};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return spec_of(std::move(arguments)).endpoints.at(0).api_key_env;
}

std::string error_of(const JobSpec& spec, const std::vector<PoolSpec>& pools = {}) {
  const auto there = check_keys(spec, pools);
  if (there) return {};
  CHECK(there.error().code == ErrorCode::usage);
  CHECK_THAT(there.error().message, !Catch::Contains("worker"));
  return there.error().message;
}

EndpointSpec endpoint(const std::string& env, const std::string& file = "") {
  EndpointSpec spec;
  spec.url = "https://h/v1";
  spec.api_key_env = env;
  spec.api_key_file = file;
  return spec;
}

} // namespace

TEST_CASE(
    "a key is asked for by its usual name but where nobody needs one, or by the user's word") {
  CHECK(key_of("https://api.openai.com/v1") == "OPENAI_API_KEY");
  CHECK(key_of("http://gpu.example.com:8000/v1") == "OPENAI_API_KEY");
  for (const char* url : {"http://127.0.0.1:8000/v1", "http://10.1.2.3/v1", "http://vllm:8000/v1",
                          "http://[fd00::1]:8000/v1", "http://box.local/v1"}) {
    CAPTURE(url);
    CHECK(key_of(url).empty());
    CHECK(key_of(url, {"--api-key-env", "MINE"}) == "MINE");
  }
  CHECK(key_of("https://api.openai.com/v1", {"--api-key-env", ""}).empty());
  CHECK(key_of("https://api.openai.com/v1", {"--api-key-file", "f"}).empty());
}

TEST_CASE("options that a request or an input is told by") {
  CHECK(spec_of({"--max-tokens", "7"}).shape.max_tokens == 7);
  CHECK(spec_of({"--max-tokens", "7"}).shape.params == "{}");
  CHECK(spec_of({"--delimiter", "tab"}).shape.delimiter == "\t");
  CHECK(spec_of({"--delimiter", "\\t"}).shape.delimiter == "\t");
  CHECK(spec_of({"--delimiter", ";"}).shape.delimiter == ";");
  CHECK(spec_of({"--assume-url", "/v1/embeddings"}).shape.assume_url == "/v1/embeddings");
  CHECK(spec_of({"--where", "a=b,c", "--where", "d~e"}).shape.where ==
        std::vector<std::string>{"a=b,c", "d~e"});
  CHECK(spec_of({"--sample", "12.5%"}).shape.sample == Percentage::of(12.5));
  CHECK(spec_of({"-m", "m", "first.jsonl"}).shape.models == ModelNames{"m"}); // no model is a file
  CHECK(spec_of({"--drop-empty"}).shape.drop_empty);
  CHECK(spec_of({"--skip-blank"}).shape.drop_empty);
  CHECK(spec_of({"--no-field-needed"}).policy.no_field_needed);
  CHECK_FALSE(spec_of({}).shape.drop_empty);
}

TEST_CASE("options that divide documents and join the answers, or let a judge see them") {
  const RequestShape shape =
      spec_of({"--chunk-tokens", "4000", "--chunk-overlap", "200", "--reduce-prompt", "{{answers}}",
               "--judge-model", "j", "--judge-prompt", "{{answer.1}}"})
          .shape;
  CHECK(shape.chunk_tokens == 4'000);
  CHECK(shape.chunk_overlap == 200);
  CHECK(shape.reduce_prompt == "{{answers}}");
  CHECK(shape.judge_model == "j");
  CHECK(shape.judge_prompt == "{{answer.1}}");
  CHECK(spec_of({}).shape == RequestShape{});
}

TEST_CASE("a configuration file names them as the command line does") {
  const store_test::TempDirectory temp;
  std::ofstream{temp / "job.toml"} << "chunk_tokens = 4000\nchunk_overlap = 200\n"
                                      "reduce_prompt = \"{{answers}}\"\n";
  JobOptions options;
  CLI::App app;
  options.add_to(app, "");
  app.parse(
      std::vector<std::string>{"100", "--chunk-overlap", "in.jsonl"}); // CLI11's last is first
  REQUIRE(lay_config(temp / "job.toml", app));
  const RequestShape shape = options.spec().value().shape;
  CHECK(shape.chunk_tokens == 4'000);
  CHECK(shape.chunk_overlap == 100);
  CHECK(shape.reduce_prompt == "{{answers}}");
}

TEST_CASE("an option's value is taken up to its limits; beyond, the error says what was expected") {
  const auto fault = [](std::vector<std::string> arguments) -> std::string {
    try {
      spec_of(std::move(arguments));
    } catch (const CLI::Error& error) {
      return error.what();
    }
    return {};
  };
  for (const auto& [flag, value] : {std::pair{"--retries", "0"},
                                    {"--retries", "1000"},
                                    {"--rpm", "18446744073709551615"},
                                    {"--timeout", "0.001"},
                                    {"--budget-usd", "1000000"},
                                    {"--budget-usd", "0.000000001"},
                                    {"--order", "completion"},
                                    {"--task", "embed"}})
    CHECK(fault({flag, value}) == "");
  struct Row {
    const char *flag, *value, *said;
  };
  for (const Row& row : {
           Row{"--retries", "1001", "expected 0 to 1000, got 1001"},
           Row{"--retries", "-1", "expected 0 to 1000, got -1"},
           Row{"--retries", "1.5", "expected 0 to 1000, got 1.5"},
           Row{"--retries", "", "expected 0 to 1000, got nothing"},
           Row{"--rpm", "18446744073709551616",
               "expected a natural number, got 18446744073709551616"},
           Row{"--timeout", "0.0009", "expected 0.001 to 86400, got 0.0009"},
           Row{"--timeout", "1s", "expected 0.001 to 86400, got 1s"},
           Row{"--budget-usd", "0", "expected US$ above 0, at most 1000000, got 0"},
           Row{"--budget-usd", "1000000.1", "expected US$ above 0, at most 1000000, got 1000000.1"},
           Row{"--order", "sideways", "expected input or completion, got sideways"},
           Row{"--task", "Chat", "expected chat, embed or classify, got Chat"},
           Row{"--prompt", " ", "expected a template with some text"},
           Row{"--reduce-prompt", "", "expected a template with some text"},
           Row{"--judge-prompt", " ", "expected a template with some text"},
           Row{"--chunk-tokens", "-1", "expected a natural number, got -1"},
           Row{"--chunk-tokens", "4k", "expected a natural number, got 4k"},
           Row{"--chunk-overlap", "x", "expected a natural number, got x"},
       }) {
    CAPTURE(row.flag, row.value);
    CHECK_THAT(fault({row.flag, row.value}), Catch::Contains(row.said));
  }
}

TEST_CASE("a key that is missing is named with what to do, before anything starts") {
  ::setenv("GRISTMILL_TEST_THERE", "sk-secret", 1);
  ::unsetenv("GRISTMILL_TEST_MISSING");
  JobSpec spec;
  spec.endpoints = {endpoint("GRISTMILL_TEST_THERE"), endpoint("")};
  CHECK(error_of(spec).empty());
  spec.endpoints.push_back(endpoint("GRISTMILL_TEST_MISSING"));
  CHECK_THAT(error_of(spec), Catch::Contains("https://h/v1") &&
                                 Catch::Contains("GRISTMILL_TEST_MISSING, which is not set") &&
                                 Catch::Contains("--api-key-env ''") &&
                                 !Catch::Contains("sk-secret"));
  const store_test::TempDirectory temp;
  std::ofstream{temp / "empty"} << " \n";
  for (const auto& [file, says] :
       {std::pair{temp / "none", "cannot be read"}, std::pair{temp / "empty", "which is empty"}}) {
    spec.endpoints = {endpoint("", file)};
    CHECK_THAT(error_of(spec), Catch::Contains(file) && Catch::Contains(says));
  }
}

TEST_CASE("of pools only those need their keys that the job may use") {
  ::unsetenv("GRISTMILL_TEST_MISSING");
  std::vector<PoolSpec> pools(2);
  pools[0].model = "a";
  pools[0].endpoints = {endpoint("")};
  pools[1].model = "b";
  pools[1].endpoints = {endpoint("GRISTMILL_TEST_MISSING")};
  JobSpec spec;
  spec.shape.models = {"a"};
  CHECK(error_of(spec, pools).empty());
  spec.policy.fallback_model = "b";
  CHECK_FALSE(error_of(spec, pools).empty());
  spec.shape.models = {"b"};
  CHECK_FALSE(error_of(spec, pools).empty());
  spec.shape.models.clear();
  spec.policy.fallback_model.clear();
  CHECK_FALSE(error_of(spec, pools).empty());
  spec.endpoints = {endpoint("")};
  CHECK(error_of(spec, pools).empty());
}

} // namespace job_options_test
