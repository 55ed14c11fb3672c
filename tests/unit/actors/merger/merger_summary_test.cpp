#include "protocol/openai/line/result_line.hpp"
#include "tests/unit/actors/merger/merger_harness.hpp"

#include "actors/kit/latency_histogram.hpp"
#include "actors/kit/random.hpp"
#include "actors/merger/line_facts.hpp"
#include "actors/merger/summary.hpp"

namespace merger_summary_test {

using namespace gristmill;
using namespace gristmill::merger_test;
using nlohmann::json;

namespace {

// A line with room behind it, as the reader wants it.
struct PaddedLine {
  std::string text;
  explicit PaddedLine(std::string line) : text{std::move(line)} { text.append(line_padding, '\n'); }
  std::string_view view() const { return {text.data(), text.size() - line_padding}; }
};

openai::Provenance provenance(std::string model, std::string endpoint, std::uint64_t latency_ms) {
  openai::Provenance about;
  about.model = std::move(model);
  about.endpoint = std::move(endpoint);
  about.latency_ms = latency_ms;
  about.attempts = 1;
  return about;
}

protocol::Outcome ok_with(std::string body) {
  protocol::Outcome outcome;
  outcome.cls = OutcomeClass::ok;
  outcome.http_status = 200;
  outcome.body = std::move(body);
  return outcome;
}

std::string error_body(std::string_view code, std::string_view message) {
  return fmt::format(R"({{"error":{{"message":"{}","type":"t","param":null,"code":"{}"}}}})",
                     message, code);
}

} // namespace

TEST_CASE("the summary says what happened to the job") {
  MemoryFiles files{{line_of(0, answer("four"), provenance("m1", "http://a/v1", 100)) +
                     line_of(1, answer("zwölf", "length"), provenance("m1", "http://b/v1", 200)) +
                     line_of(2, own_error("timeout", "no answer in 600 s"),
                             provenance("m2", "http://a/v1", 600'000))}};
  MergeTask task = task_of(3);
  task.counts = {.total = 3,
                 .total_known = true,
                 .completed = 2,
                 .failed = 1,
                 .retrying = 0,
                 .in_flight = 0,
                 .calls = 6,
                 .attempts = 8,
                 .ambiguous = 1,
                 .late = 2,
                 .prompt_tokens = 20,
                 .completion_tokens = 8,
                 .cached_prompt_tokens = 6};
  const json summary = summary_of(files, task);
  CHECK(summary["job"] == "job-7");
  CHECK(summary["state"] == "finished");
  CHECK(summary["counts"] == json::parse(R"({"total":3,"completed":2,"failed":1,"retrying":0,
    "dropped":0,"cached":0,"parts":0,"calls":6,"ambiguous":1,"attempts":8,"late":2})"));
  CHECK(summary["tokens"] == json::parse(R"({"prompt":20,"completion":8,"cached":6})"));
  CHECK(summary["errors"] ==
        json::parse(R"([{"class":"timeout","code":"timeout","http_status":null,"count":1,
    "retried":0,"sample":{"custom_id":"doc-2","source":"in.jsonl:3","message":"no answer in 600 s"}}])"));
  CHECK(summary["latency_ms"]["p50"].get<double>() == Approx(200).epsilon(0.008));
  CHECK(summary["latency_ms"]["max"] == 600'000);
  CHECK(summary["models"] == json::parse(R"({"m1":2,"m2":1})"));
  CHECK(summary["endpoints"] == json::parse(R"({"http://a/v1":2,"http://b/v1":1})"));
  CHECK(summary["elapsed_s"] == 10);
  CHECK(summary["items_per_s"] == 0.3);
  CHECK(summary["output"] ==
        json::parse(fmt::format(R"({{"path":"OUT","bytes":{},"lines":3,"sha256":"5ha"}})",
                                files.output.size())));
  CHECK(summary["text"] == json::parse(R"({"answers":2,"finish_reasons":{"length":1,"stop":1},
    "mean_answer_characters":4.5,"mean_answer_tokens":4.0})"));
}

TEST_CASE("a cancelled job says so, and answers of the cache have no latency") {
  openai::Provenance cached = provenance("m", "e", 0);
  cached.cached = true;
  MemoryFiles files{{line_of(0, answer("a"), cached) + line_of(1, answer("a"), cached) +
                     line_of(2, answer("a"), provenance("m", "e", 90))}};
  MergeTask task = task_of(3);
  task.cancelled = true;
  task.counts.cached = 2;
  task.now = task.created_at;
  const json summary = summary_of(files, task);
  CHECK(summary["state"] == "cancelled");
  CHECK(summary["counts"]["cached"] == 2);
  CHECK(summary["latency_ms"]["p50"] == 90);
  CHECK(summary["items_per_s"] == 3.0);
}

TEST_CASE("an error in its server's own form is told as the worker read it") {
  const auto read = [](std::string body) {
    protocol::Outcome outcome = http_error(400, std::move(body));
    outcome.code = "read";
    outcome.message = "what the worker read";
    return outcome;
  };
  MemoryFiles files{{line_of(0, read(R"([{"error":{"message":"m","status":"S"}}])")) +
                     line_of(1, read(R"({"detail":[{"msg":"Field required"}]})")) +
                     line_of(2, read(R"({"error":{"message":"theirs","code":"c"}})"))}};
  const json errors = summary_of(files, task_of(3))["errors"];
  REQUIRE(errors.size() == 1);
  CHECK(errors[0]["code"] == "read");
  CHECK(errors[0]["count"] == 3);
  CHECK(errors[0]["sample"]["message"] == "what the worker read");
}

TEST_CASE("tokens that a server spells with a fraction are counted") {
  protocol::Outcome outcome = answer("a");
  outcome.body = R"({"choices":[{"message":{"content":"a"}}],"usage":{"completion_tokens":3.0,)"
                 R"("prompt_tokens_details":{"cached_tokens":"2"}}})";
  MemoryFiles files{{line_of(0, outcome)}};
  const json summary = summary_of(files, task_of(1));
  CHECK(summary["text"]["mean_answer_tokens"] == 3.0);
}

TEST_CASE("errors are told apart by code and status, the most frequent first") {
  std::string text;
  std::uint64_t item = 0;
  const auto add = [&](int times, const protocol::Outcome& outcome) {
    while (times-- > 0) text += line_of(item++, outcome);
  };
  add(2, http_error(400, error_body("context_length_exceeded", "too long")));
  add(3, http_error(429, error_body("rate_limit_exceeded", "slow down")));
  add(1, http_error(503, error_body("rate_limit_exceeded", "slow down")));
  add(4, http_error(400,
                    R"({"object":"error","message":"flat","type":"BadRequestError","code":400})"));
  add(5, http_error(404, R"({"error":"no such thing"})"));
  add(1, answer("fine"));
  MemoryFiles files{{text}};
  const json errors = summary_of(files, task_of(item))["errors"];
  REQUIRE(errors.size() == 5);
  CHECK(errors[0]["code"] == "http_404");
  CHECK(errors[0]["sample"]["message"] == "no such thing");
  CHECK(errors[1]["code"] == "BadRequestError");
  CHECK(errors[1]["sample"] ==
        json::parse(R"({"custom_id":"doc-6","source":"in.jsonl:7","message":"flat"})"));
  CHECK(errors[2]["count"] == 3);
  CHECK(errors[2]["http_status"] == 429);
  CHECK(errors[3]["code"] == "context_length_exceeded");
  CHECK(errors[4]["http_status"] == 503);
}

TEST_CASE("the summary stays small when every line is different") {
  std::string text;
  const std::uint64_t items = 500;
  for (std::uint64_t i = 0; i < items; ++i)
    text += line_of(i, http_error(400, error_body(fmt::format("code-{}", i), "m")),
                    provenance(fmt::format("model-{}", i), fmt::format("http://{}/v1", i), i));
  MemoryFiles files{{text}};
  const json summary = summary_of(files, task_of(items));
  for (const char* name : {"models", "endpoints"}) {
    std::uint64_t sum = 0;
    for (const auto& count : summary[name]) sum += count.get<std::uint64_t>();
    CHECK(sum == items);
    CHECK(summary[name].size() == tally_names_max + 1);
    CHECK(summary[name]["other"] == items - tally_names_max);
  }
  CHECK(summary["errors"].size() == error_causes_max + 1);
  CHECK(summary["errors"][0]["code"] == "other");
  CHECK(summary["errors"][0]["count"] == items - error_causes_max);
}

TEST_CASE("a sample is cut between characters") {
  std::string message;
  for (int i = 0; i < 400; ++i) message += "ö";
  MemoryFiles files{{line_of(0, own_error("odd", message))}};
  const json errors = summary_of(files, task_of(1))["errors"];
  CHECK(errors[0]["sample"]["message"] == message.substr(0, error_words_max));
}

TEST_CASE("what was tried again stands beside what ended items, also where nothing did") {
  MemoryFiles files{{line_of(0, own_error("timeout", "no answer")) + line_of(1)}};
  MergeTask task = task_of(2);
  task.errors = {{OutcomeClass::rate, "limit", 429, 30, 0, "slow down", "doc-1", "in.jsonl:2", 5},
                 {OutcomeClass::timeout, "timeout", 0, 7, 1, "later words", "doc-0", "", 6},
                 {OutcomeClass::bad_line, "", 0, 4, 4, "", "", "", 0}}; // of an earlier life
  const json errors = summary_of(files, task)["errors"];
  REQUIRE(errors.size() == 2);
  CHECK(errors[0]["class"] == "timeout");
  CHECK(errors[0]["count"] == 1);
  CHECK(errors[0]["retried"] == 6);
  CHECK(errors[0]["sample"]["message"] == "no answer");
  CHECK(errors[1]["class"] == "rate");
  CHECK(errors[1]["count"] == 0);
  CHECK(errors[1]["retried"] == 30);
  CHECK(errors[1]["sample"]["message"] == "slow down");
}

TEST_CASE("answers of the other text APIs are counted") {
  const std::string completions =
      R"({"choices":[{"text":"12345","finish_reason":"stop"},{"text":"1","finish_reason":null}],)"
      R"("usage":{"completion_tokens":6}})";
  const std::string responses =
      R"({"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"error":null,)"
      R"("output":[{"type":"reasoning","summary":[]},{"type":"message","content":[)"
      R"({"type":"output_text","text":"ab"},{"type":"output_text","text":"cd"}]}],)"
      R"("usage":{"output_tokens":3,"input_tokens_details":{"cached_tokens":2}}})";
  const std::string embeddings =
      R"({"data":[{"embedding":[0.5,1],"index":0}],"usage":{"prompt_tokens":3}})";
  MemoryFiles files{{line_of(0, ok_with(completions)) + line_of(1, ok_with(responses)) +
                     line_of(2, ok_with(embeddings))}};
  const json summary = summary_of(files, task_of(3));
  CHECK(summary["errors"].empty());
  CHECK(summary["text"] == json::parse(R"({"answers":3,"finish_reasons":{"length":1,"stop":1,
    "unknown":1},"mean_answer_characters":3.33,"mean_answer_tokens":3.0})"));
}

TEST_CASE("a body of any shape is read without harm") {
  LineFactsReader reader;
  for (const char* body :
       {"null", "[]", "7", R"("text")", R"({"choices":7})", R"({"choices":[7,null,[]]})",
        R"({"choices":[{"message":[],"finish_reason":{}}]})", R"({"usage":[1]})",
        R"({"usage":{"completion_tokens":-1,"prompt_tokens_details":null}})",
        R"({"usage":{"completion_tokens":1.5}})", R"({"error":{"code":{},"message":[1]}})",
        R"({"output":"text"})", R"({"output":[[[]]]})",
        R"({"choices":[{"message":{"content":[{}]}}]})"}) {
    const PaddedLine line{fmt::format(
        R"({{"id":"x","custom_id":"c","response":{{"status_code":200,"request_id":"","body":{}}},)"
        R"("error":null,"gristmill":{{"source":"s","attempts":2,"model":"m","endpoint":"e",)"
        R"("latency_ms":5,"cached":true,"item":0,"crc":"00000000"}}}})",
        body)};
    INFO(body);
    const LineFacts& facts = reader.read(line.view());
    CHECK(facts.custom_id == "c");
    CHECK_FALSE(facts.failed);
    CHECK(facts.source == "s");
    CHECK(facts.attempts == 2);
    CHECK(facts.cached);
  }
}

TEST_CASE("a body of endless choices does not fill the memory") {
  std::string choices = "{}";
  for (int i = 0; i < 1'000; ++i) choices += ",{}";
  LineFactsReader reader;
  const PaddedLine line{line_of(0, ok_with("{\"choices\":[" + choices + "]}"))};
  CHECK(reader.read(line.view()).answers.size() == answers_max);
}

TEST_CASE("a line cut anywhere is read without harm") {
  LineFactsReader reader;
  const std::string line = line_of(0, answer("text"), provenance("m", "e", 5));
  for (std::size_t size = 0; size < line.size(); ++size)
    CHECK(reader.read(PaddedLine{line.substr(0, size)}.view()).latency_ms <= 5);
}

TEST_CASE("percentiles of latency are within a hundredth of the true ones") {
  Random random{11};
  for (const std::uint64_t most : {1u, 100u, 5'000u, 4'000'000'000u}) {
    LatencyHistogram histogram;
    std::vector<std::uint64_t> values;
    for (int i = 0; i < 10'000; ++i) {
      values.push_back(random.below(most));
      histogram.add(values.back());
    }
    std::ranges::sort(values);
    for (const std::uint64_t percent : {1u, 50u, 90u, 99u, 100u}) {
      const auto truth = static_cast<double>(values[(values.size() * percent + 99) / 100 - 1]);
      CHECK(static_cast<double>(histogram.percentile(percent)) == Approx(truth).epsilon(0.008));
    }
    CHECK(histogram.max() == values.back());
  }
}

TEST_CASE("the histogram takes any value") {
  LatencyHistogram histogram;
  CHECK(histogram.percentile(50) == 0);
  histogram.add(~std::uint64_t{0});
  CHECK(histogram.max() == ~std::uint64_t{0});
  CHECK(histogram.percentile(50) > ~std::uint64_t{0} - (~std::uint64_t{0} >> 6));
}

} // namespace merger_summary_test
