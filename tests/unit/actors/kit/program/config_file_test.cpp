// Configuration files: every key of a pool, every fault with its place, and how keys are laid onto
// a program's options.
#include "actors/kit/program/config_options.hpp"
#include "protocol/rules/served.hpp"

#include <CLI/CLI.hpp>
#include <catch2/catch.hpp>
#include <fstream>

namespace config_file_test {

using namespace gristmill;

namespace {

std::string fault_of(const std::string& text) {
  const auto file = parse_config(text, "f.toml");
  REQUIRE_FALSE(file);
  CHECK(file.error().code == ErrorCode::usage);
  return file.error().message;
}

constexpr const char* pool_start = "[[pool]]\nmodel = \"m\"\n";
constexpr const char* endpoint_start =
    "[[pool]]\nmodel = \"m\"\n[[pool.endpoint]]\nurl = \"http://a/v1\"\n";

} // namespace

TEST_CASE("every key of a pool is read", "[config]") {
  const auto file = parse_config(R"(
listen = "tcp://127.0.0.1:1"
[[pool]]
model = "small"
fallback = "large"
price_input = 0.15
price_output = 2
max_output_tokens = 16384
prefix_affinity = false
  [[pool.endpoint]]
  url = "https://a.example/v1/"
  api_key_env = "KEY"
  requests_per_minute = 10000
  tokens_per_minute = 2_000_000
  max_in_flight = 500
  metrics_url = "http://a:8000/metrics/"
  [[pool.endpoint]]
  url = "http://b:8000/v1"
  api_key_file = "/run/key"
  strict_tokens = true
  token_counting = "reserved"
  requests_per_day = 200
  tokens_per_day = 3_000_000
[[pool]]
model = "large"
)",
                                 "f.toml");
  REQUIRE(file);
  REQUIRE(file->pools.size() == 2);
  const PoolSpec& pool = file->pools[0];
  CHECK(pool.model == "small");
  CHECK(pool.fallback == "large");
  CHECK(pool.price == TokenPrice{150'000, 2'000'000});
  CHECK(pool.max_output_tokens == 16'384);
  CHECK_FALSE(pool.prefix_affinity);
  REQUIRE(pool.endpoints.size() == 2);
  EndpointSpec first{"https://a.example/v1", "KEY", "", 10'000, 2'000'000, 500};
  first.metrics_url = "http://a:8000/metrics/";
  CHECK(pool.endpoints[0] == first);
  EndpointSpec second{"http://b:8000/v1",      "",  "/run/key", 0, 0, 0, true,
                      TokenCounting::reserved, 200, 3'000'000};
  second.metrics_url = "auto"; // unless it is named
  CHECK(pool.endpoints[1] == second);
  CHECK(file->pools[1] == PoolSpec{"large", "", {}, 0, {}});
  CHECK(file->first_pool.line == 3);
  REQUIRE(file->entries.size() == 1);
  CHECK(file->entries[0].key == "listen");
  CHECK(models_of(file->pools) == std::set<std::string>{"small"});
}

TEST_CASE("a page of metrics is named, looked for or not wanted; windows may be of a kind",
          "[config]") {
  const std::string start = "[[pool]]\nmodel = \"m\"\n[[pool.endpoint]]\nurl = \"http://a\"\n";
  for (const auto& [line, metrics_url] :
       {std::pair{"", "auto"}, {"metrics_url = \"auto\"", "auto"}, {"metrics_url = \"\"", ""}}) {
    const auto file = parse_config(start + line, "f.toml");
    REQUIRE(file);
    CHECK(file->pools[0].endpoints[0].metrics_url == metrics_url);
  }
  const auto file = parse_config(
      start + "input_tokens_per_minute = 400\noutput_tokens_per_minute = 80", "f.toml");
  REQUIRE(file);
  CHECK(file->pools[0].endpoints[0].limits.input_tokens_per_minute == 400);
  CHECK(file->pools[0].endpoints[0].limits.output_tokens_per_minute == 80);
}

TEST_CASE("an empty file says nothing", "[config]") {
  const auto file = parse_config("", "f.toml");
  REQUIRE(file);
  CHECK(file->entries.empty());
  CHECK(file->pools.empty());
}

TEST_CASE("every fault has its file, line and column", "[config]") {
  struct Row {
    std::string text, place, words;
  };
  const std::string pool = pool_start, endpoint = endpoint_start;
  const auto row = GENERATE_COPY(values<Row>({
      {"a = ", "f.toml:1:", "expected TOML"},
      {"a = 1\nb = \"x\nc = 2", "f.toml:2:", "expected TOML"},
      {"a = 1\na = 2", "f.toml:2:", "expected TOML"},
      {"pool = 3", "f.toml:1:8: ", "expected tables under [[pool]], got 3"},
      {"pool = [3]", "f.toml:1:9: ", "expected tables under [[pool]], got 3"},
      {"\n[[pool]]\n", "f.toml:2:1: ", "expected a model, got none"},
      {pool + "prize_input = 1", "f.toml:3:1: ", "did you mean price_input?"},
      {pool + "  token_counting = \"usage\"", "f.toml:3:3: ", "expected a key of [[pool]]"},
      {pool + "fallback = \"m\"", "f.toml:1:1: ", "another model than the pool's"},
      {pool + "fallback = 3", "f.toml:3:12: ", "expected the name of a model, got 3"},
      {pool + "fallback = \"\"", "f.toml:3:12: ", "got \"\""},
      {pool + "price_input = -0.1", "f.toml:3:15: ", "US$ for 1M tokens"},
      {pool + "price_output = 100001", "f.toml:3:16: ", "from 0 to 100000, got 100001"},
      {pool + "price_output = \"1\"", "f.toml:3:16: ", "got \"1\""},
      {pool + "price_output = nan", "f.toml:3:16: ", "got nan"},
      {pool + "max_output_tokens = 0", "f.toml:3:21: ", "from 1 to 1000000000"},
      {pool + "prefix_affinity = 1", "f.toml:3:19: ", "true or false"},
      {pool + "max_output_tokens = 1.5", "f.toml:3:21: ", "got 1.5"},
      {pool + "[pool.endpoint]\nurl = \"http://a\"",
       "f.toml:3:1: ", "tables under [[pool.endpoint]], got a table"},
      {pool + pool, "f.toml:3:1: ", "second one for \"m\""},
      {pool + "[[pool.endpoint]]\n", "f.toml:3:1: ", "expected a url, got none"},
      {pool + "[[pool.endpoint]]\nurl = \"a\"", "f.toml:4:7: ", "http://"},
      {pool + "[[pool.endpoint]]\nurl = \"http://u:secret@a\"",
       "f.toml:4:7: ", "without credentials"},
      {endpoint + "rpm = 1", "f.toml:5:1: ", "expected a key of [[pool.endpoint]], got \"rpm\""},
      {endpoint + "strict_token = true", "f.toml:5:1: ", "did you mean strict_tokens?"},
      {endpoint + "strict_tokens = 1", "f.toml:5:17: ", "expected true or false, got 1"},
      {endpoint + "token_counting = \"use\"", "f.toml:5:18: ", "usage or reserved"},
      {endpoint + "token_counting = true", "f.toml:5:18: ", "got true"},
      {endpoint + "requests_per_minute = 0", "f.toml:5:23: ", "from 1 to"},
      {endpoint + "requests_per_day = 0", "f.toml:5:20: ", "from 1 to"},
      {endpoint + "tokens_per_minute = -1", "f.toml:5:21: ", "got -1"},
      {endpoint + "max_in_flight = 10000001", "f.toml:5:17: ", "from 1 to 10000000"},
      {endpoint + "metrics_url = \"ftp://a/metrics\"", "f.toml:5:15: ", "http:// or https://"},
      {endpoint + "metrics_url = \"http://me:secret@a/metrics\"", "f.toml:5:15: ", "credentials"},
      {endpoint + "metrics_url = 1", "f.toml:5:15: ", "got 1"},
      {endpoint + "max_in_flight = true", "f.toml:5:17: ", "got true"},
      {endpoint + "api_key_env = \"sk-1\"", "f.toml:5:15: ", "name of an environment variable"},
      {endpoint + "api_key_env = \"A\"\napi_key_file = \"b\"", "f.toml:3:1: ", "got both"},
      {endpoint + "[[pool.endpoint]]\nurl = \"http://a/v1/\"", "f.toml:5:1: ", "once in a pool"},
      {pool + "model.x = 1", "f.toml:3:", "expected TOML"},
  }));
  CAPTURE(row.text);
  const std::string fault = fault_of(row.text);
  CHECK_THAT(fault, Catch::StartsWith(row.place) && Catch::Contains(row.words) &&
                        !Catch::Contains("sk-1") && !Catch::Contains("secret"));
}

TEST_CASE("names and lists end at their bounds", "[config]") {
  const auto with_model = [](std::size_t bytes) {
    return parse_config("[[pool]]\nmodel = \"" + std::string(bytes, 'm') + "\"", "f");
  };
  CHECK(with_model(255));
  CHECK(with_model(256));
  CHECK_FALSE(with_model(257));
  const auto with_endpoints = [](int count) {
    std::string text = pool_start;
    for (int i = 0; i < count; ++i)
      text += "[[pool.endpoint]]\nurl = \"http://h" + std::to_string(i) + "\"\n";
    return parse_config(text, "f");
  };
  CHECK(with_endpoints(1'024));
  CHECK_FALSE(with_endpoints(1'025));
}

// Onto options.

namespace {

struct Program {
  CLI::App app{"", "program"};
  std::string name = "default", config, key, key_file;
  std::uint32_t count = 1;
  double ratio = 0;
  bool quiet = false;
  std::vector<std::string> urls;

  Program() {
    app.add_option("--a-name", name);
    app.add_option("--count", count)->check(CLI::Range(1u, 9u));
    app.add_option("--ratio", ratio);
    app.add_option("--url", urls);
    app.add_flag("-q,--quiet", quiet);
    auto* first = app.add_option("--key", key);
    app.add_option("--key-file", key_file)->excludes(first);
    add_config_option(app, config);
  }
  Result<ConfigFile> lay(const std::string& text, std::string arguments = "") {
    config = "config_options_test.toml";
    std::ofstream{config} << text;
    app.parse(arguments);
    config = "config_options_test.toml";
    auto laid = lay_config(config, app);
    std::remove(config.c_str());
    return laid;
  }
};

} // namespace

TEST_CASE("every option has its key", "[config]") {
  Program program;
  REQUIRE(program.lay("a_name = \"x\"\ncount = 9\nratio = 0.5\nurl = [\"a\", \"b\"]\nquiet = true\n"
                      "key = \"k\""));
  CHECK(program.name == "x");
  CHECK(program.count == 9);
  CHECK(program.ratio == 0.5);
  CHECK(program.urls == std::vector<std::string>{"a", "b"});
  CHECK(program.quiet);
  CHECK(program.key == "k");
}

TEST_CASE("the command line overrides the file, of excluding options too", "[config]") {
  Program program;
  REQUIRE(program.lay("a_name = \"x\"\nurl = \"a\"\nkey = \"k\"\nquiet = false",
                      "--a-name y --url b --key-file f"));
  CHECK(program.name == "y");
  CHECK(program.urls == std::vector<std::string>{"b"});
  CHECK(program.key.empty());
  CHECK(program.key_file == "f");
  CHECK_FALSE(program.quiet);
}

TEST_CASE("what an option does not take is a fault at its place", "[config]") {
  struct Row {
    std::string text, place, words;
  };
  const auto row = GENERATE(values<Row>({
      {"\ncounts = 1", ":2:1: ", "did you mean count?"},
      {"a-name = \"x\"", ":1:1: ", "did you mean a_name?"},
      {"config = \"x\"", ":1:1: ", "got \"config\""},
      {"help = true", ":1:1: ", "got \"help\""},
      {"pools = 1", ":1:1: ", "did you mean pool?"},
      {"count = 0", ":1:9: ", "count"},
      {"count = 10", ":1:9: ", "got 10"},
      {"count = \"1\"", ":1:9: ", "expected an integer, got \"1\""},
      {"count = [1, 2]", ":1:1: ", "expected one value, got an array"},
      {"ratio = \"x\"", ":1:9: ", "expected a number"},
      {"a_name = true", ":1:10: ", "expected a text, got true"},
      {"a_name = 2020-01-01", ":1:10: ", "a date"},
      {"quiet = 1", ":1:9: ", "expected true or false, got 1"},
      {"url = [\"a\", [\"b\"]]", ":1:13: ", "got an array"},
      {"[a_name]\nx = 1", ":1:1: ", "got a table"},
      {"key = \"k\"\nkey_file = \"f\"", ":2:1: ", "expected it without key, got both"},
  }));
  CAPTURE(row.text);
  Program program;
  const auto laid = program.lay(row.text);
  REQUIRE_FALSE(laid);
  CHECK_THAT(laid.error().message, Catch::StartsWith("config_options_test.toml" + row.place) &&
                                       Catch::Contains(row.words));
}

TEST_CASE("a configuration that cannot be read is named", "[config]") {
  Program program;
  const auto laid = lay_config("/nowhere/f.toml", program.app);
  REQUIRE_FALSE(laid);
  CHECK_THAT(laid.error().message, Catch::Contains("/nowhere/f.toml"));
  CHECK(lay_config("", program.app)); // none was given
}

} // namespace config_file_test
