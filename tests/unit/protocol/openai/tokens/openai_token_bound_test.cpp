// The bound is at least what a byte-level tokenizer and the asked-for answer can come to.
#include "protocol/job/spec.hpp"
#include "protocol/openai/tokens/bound.hpp"

#include <catch2/catch.hpp>
#include <limits>

namespace openai_token_bound_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

constexpr std::uint64_t answer_default = 1'000;

std::string line_of(const std::string& url, const std::string& body) {
  return R"({"custom_id":"a","method":"POST","url":")" + url + R"(","body":)" + body + "}";
}

// The bound without that of the same request whose answer is known to be empty.
std::uint64_t answer_part(const std::string& url, const std::string& body,
                          const std::string& params = "{}") {
  JobSpec spec;
  spec.shape.params = params;
  const std::uint64_t whole =
      token_bound(spec, ItemKind::batch_line, line_of(url, body), answer_default);
  const std::string silent = R"({"max_tokens":0})";
  JobSpec none;
  const std::uint64_t fixed =
      token_bound(none, ItemKind::batch_line, line_of(url, silent), answer_default) -
      silent.size() + body.size() + params.size() - none.shape.params.size();
  return whole - fixed;
}

} // namespace

TEST_CASE("The answer's bound is the greatest limit named times the answers asked for",
          "[token_bound]") {
  struct Row {
    const char* url;
    const char* body;
    const char* params;
    std::uint64_t tokens;
  };
  const char* chat = "/v1/chat/completions";
  const auto row = GENERATE_COPY(
      Row{chat, "{}", "{}", 1'000}, Row{chat, R"({"max_tokens":7})", "{}", 7},
      Row{chat, R"({"max_completion_tokens":8})", "{}", 8},
      Row{"/v1/responses", R"({"max_output_tokens":9})", "{}", 9},
      Row{chat, R"({"max_tokens":7,"max_completion_tokens":8})", "{}", 8},
      Row{chat, R"({"max_tokens":7,"max_tokens":5})", "{}", 7},
      Row{chat, R"({"max_tokens":7,"n":3})", "{}", 21}, Row{chat, R"({"n":2})", "{}", 2'000},
      Row{chat, R"({"n":0,"max_tokens":7})", "{}", 7},
      Row{chat, R"({"n":null,"max_tokens":7})", "{}", 7},
      Row{"/v1/completions", R"({"max_tokens":7,"n":1,"best_of":4})", "{}", 28},
      Row{"/v1/completions", R"({"max_tokens":7,"prompt":"x"})", "{}", 7},
      Row{"/v1/completions", R"({"max_tokens":7,"prompt":["x","y","z"]})", "{}", 21},
      Row{"/v1/completions", R"({"max_tokens":7,"prompt":[1,2,3]})", "{}", 7},
      Row{"/v1/completions", R"({"max_tokens":7,"prompt":[[1,2],[3]]})", "{}", 14},
      Row{chat, R"({"max_tokens":null})", "{}", 1'000},
      Row{chat, R"({"max_tokens":-1})", "{}", 1'000},
      Row{chat, R"({"max_tokens":"x"})", "{}", 1'000},
      Row{chat, R"({"max_tokens":"50"})", "{}", 50},
      Row{chat, R"({"max_tokens":2e3})", "{}", 2'000}, Row{chat, R"({"max_tokens":7.5})", "{}", 8},
      Row{chat, R"({"max_tokens":7})", R"({"max_tokens":50})", 50},
      Row{chat, R"({"max_tokens":70})", R"({"max_tokens":50})", 50},
      Row{chat, R"({"max_tokens":7})", R"({"max_tokens":null})", 1'000},
      Row{chat, R"({"max_tokens":7})", R"({"n":5})", 35},
      Row{"/v1/embeddings", R"({"input":"x"})", "{}", 0},
      Row{"/v1/moderations", R"({"input":"x"})", "{}", 0},
      Row{"/v1/rerank", R"({"query":"four","documents":["a","b"]})", "{}", 12},
      Row{"/v1/score", R"({"text_1":"four","text_2":["a","b","c"]})", "{}", 18},
      Row{"/v1/score", R"({"text_1":["four"],"text_2":["a"]})", "{}", 0});
  INFO(row.url << " " << row.body << " " << row.params);
  CHECK(answer_part(row.url, row.body, row.params) == row.tokens);
}

TEST_CASE("The job's limit of an answer bounds it in whatever words it is sent", "[token_bound]") {
  JobSpec spec;
  spec.shape.max_tokens = 50;
  const auto output_of = [&](const std::string& url, const std::string& body) {
    return token_bounds(spec, ItemKind::batch_line, line_of(url, body), answer_default).output;
  };
  CHECK(output_of("/v1/chat/completions", "{}") == 50);
  CHECK(output_of("/v1/chat/completions", R"({"max_completion_tokens":900,"n":2})") == 100);
  CHECK(output_of("/v1/responses", R"({"max_output_tokens":9})") == 50);
  CHECK(output_of("/v1/embeddings", "{}") == 0);
  CHECK(token_bounds(spec, ItemKind::text, "x", answer_default).output == 50);
  CHECK(limits_answers(spec));
  spec.shape.assume_url = "/v1/embeddings";
  CHECK(token_bounds(spec, ItemKind::batch_line, R"({"body":{"input":"x"}})", answer_default)
            .output == 0);
}

TEST_CASE("The prompt's bound is at least its bytes", "[token_bound]") {
  JobSpec spec;
  const std::string body =
      R"({"max_tokens":0,"messages":[{"role":"user","content":"\u4f60\u597d"}]})";
  const auto bound =
      token_bound(spec, ItemKind::batch_line, line_of("/v1/chat/completions", body), 9);
  CHECK(bound >= body.size());
  CHECK(bound < body.size() + 1'000);
}

TEST_CASE("A request limits its answer if it or the job states a limit that is one",
          "[token_bound]") {
  struct Row {
    const char* url;
    const char* body;
    const char* params;
    bool stated;
  };
  const char* chat = "/v1/chat/completions";
  const auto row = GENERATE_COPY(
      Row{chat, "{}", "{}", false}, Row{chat, R"({"max_tokens":1})", "{}", true},
      Row{chat, R"({"n":1})", "{}", false}, Row{chat, R"({"max_tokens":null})", "{}", false},
      Row{chat, "{}", R"({"max_completion_tokens":5})", true},
      Row{chat, R"({"max_tokens":7})", R"({"max_tokens":null})", false},
      Row{"/v1/responses", R"({"max_output_tokens":9})", "{}", true},
      Row{"/v1/embeddings", R"({"input":"x"})", "{}", true},
      Row{"/v1/rerank", R"({"query":"x","documents":["a"]})", "{}", true});
  INFO(row.url << " " << row.body << " " << row.params);
  JobSpec spec;
  spec.shape.params = row.params;
  const auto bound = token_bounds(spec, ItemKind::batch_line, line_of(row.url, row.body), 9);
  CHECK(bound.output_stated == row.stated);
}

TEST_CASE("A document counts once for each time that the templates use it", "[token_bound]") {
  const std::string text(10'000, 'x');
  struct Row {
    const char* prompt;
    const char* system;
    ItemKind kind;
    std::uint64_t uses;
  };
  const auto row = GENERATE(
      Row{"", "", ItemKind::text, 1}, Row{"a {{text}}", "", ItemKind::text, 1},
      Row{"{{text}}{{ text }}", "", ItemKind::text, 2},
      Row{"{{text}}", "{{text}}", ItemKind::text, 2}, Row{"", "{{text}}", ItemKind::text, 2},
      Row{"{{a}}{{b}}", "", ItemKind::json_object, 1},
      Row{"{{a}}{{b}}{{a}}", "{{a}}", ItemKind::json_object, 3},
      Row{"{{text}}{{body}}", "", ItemKind::json_object, 2},
      Row{"no field", "", ItemKind::text, 0});
  JobSpec spec;
  spec.shape.prompt = row.prompt;
  spec.shape.system = row.system;
  if (row.kind == ItemKind::json_object) spec.shape.text_field = "body";
  INFO(row.prompt);
  const auto bound = token_bound(spec, row.kind, text, 0);
  CHECK(bound >= row.uses * text.size());
  CHECK(bound < row.uses * text.size() + 1'000);
  CHECK(token_bound(spec, row.kind, text, 500) == bound + 500);
}

TEST_CASE("A bound beyond all numbers is the greatest number", "[token_bound]") {
  JobSpec spec;
  const std::string body = R"({"max_tokens":18446744073709551615,"n":1e300})";
  CHECK(token_bound(spec, ItemKind::batch_line, line_of("/v1/chat/completions", body), 1) ==
        std::numeric_limits<std::uint64_t>::max());
}

TEST_CASE("Text that is no line still has a bound", "[token_bound]") {
  JobSpec spec;
  for (const std::string raw :
       {"", "{", "{\"body\":", "{\"body\":{\"n\":\"", "\"", "[[[[", "{\"url\":1,\"body\":[]}"})
    CHECK(token_bound(spec, ItemKind::batch_line, raw, 100) >= raw.size());
}

} // namespace openai_token_bound_test
