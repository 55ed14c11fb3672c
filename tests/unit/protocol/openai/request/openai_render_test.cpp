// What is sent for an item.
#include "protocol/job/spec.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/template/prompt_template.hpp"
#include "protocol/result.hpp"
#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>

namespace openai_render_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

std::string line_of(const std::string& body) {
  return R"({"custom_id":"a","method":"POST","url":"/v1/chat/completions","body":)" + body + "}";
}

std::string error_of(const Result<Request>& request) {
  REQUIRE_FALSE(request);
  CHECK(request.error().code != ErrorCode::internal);
  return request.error().message;
}

} // namespace

TEST_CASE("A line's body is sent byte for byte when nothing is laid over it", "[render]") {
  const std::string body =
      R"({ "model" : "m\u0031",  "temperature":0.10, "seed":1e0 , "x":{"b":1,"a":2} })";
  JobSpec spec;
  const auto request = render(spec, ItemKind::batch_line, line_of(body), "other");
  REQUIRE(request);
  CHECK(request->body == body);
  CHECK(request->model == "m1");
  CHECK(request->path == "/chat/completions");

  spec.shape.models = {"m1"}; // says the same
  spec.shape.params = " { } ";
  CHECK(render(spec, ItemKind::batch_line, line_of(body), "")->body == body);
}

TEST_CASE("The model of the call's plan holds above all others", "[render]") {
  JobSpec spec;
  spec.shape.models = ModelNames::of(GENERATE("", "of-job"));
  spec.shape.params = spec.shape.models.empty() ? R"({"model":"of-params","n":1})" : R"({"n":1})";
  const auto line = render(spec, ItemKind::batch_line, line_of(R"({"model":"of-line"})"),
                           "of-endpoint", "planned");
  REQUIRE(line);
  CHECK(line->model == "planned");
  CHECK(line->body == R"({"model":"planned","n":1})");
  const auto text = render(spec, ItemKind::text, "hi", "of-endpoint", "planned");
  REQUIRE(text);
  CHECK(text->model == "planned");
  CHECK_THAT(text->body, Catch::Contains(R"("model":"planned")") && !Catch::Contains("of-"));
}

TEST_CASE("Model and parameters replace or add top-level members only", "[render]") {
  struct Row {
    const char* body;
    const char* model;
    const char* params;
    const char* default_model;
    const char* sent;
  };
  const auto row =
      GENERATE(Row{R"({"model":"a","x":{ "model":1 }})", "b", "{}", "",
                   R"({"model":"b","x":{ "model":1 }})"},
               Row{R"({"x":1.0})", "b", "{}", "c", R"({"x":1.0,"model":"b"})"},
               Row{R"({"x":1})", "", "{}", "c", R"({"x":1,"model":"c"})"},
               Row{R"({})", "", "{}", "c", R"({"model":"c"})"},
               Row{R"({"model":null})", "", "{}", "c", R"({"model":"c"})"},
               Row{R"({"model":""})", "", "{}", "c", R"({"model":"c"})"},
               Row{R"({"model":"a"})", "q\"", "{}", "", R"({"model":"q\""})"},
               Row{R"({"t":1,"model":"a","n":2})", "", R"({"n":3,"t":0.10})", "",
                   R"({"t":0.10,"model":"a","n":3})"},
               Row{R"({"model":"a"})", "", R"({"y":[1, 2],"z":null})", "",
                   R"({"model":"a","y":[1, 2],"z":null})"},
               Row{R"({"model":"a"})", "", R"({"model":"p"})", "", R"({"model":"p"})"},
               Row{R"({"model":"a"})", "b", R"({"model":"p"})", "", R"({"model":"b"})"},
               Row{R"({"m\u006fdel":"a","t":1,"t":2,"model":"x"})", "b", R"({"t":3,"t":4})", "",
                   R"({"m\u006fdel":"b","t":4})"},
               Row{R"({"model":"a","stream":true})", "", R"({"stream":false})", "",
                   R"({"model":"a","stream":false})"});
  JobSpec spec;
  spec.shape.models = ModelNames::of(row.model);
  spec.shape.params = row.params;
  const auto request = render(spec, ItemKind::batch_line, line_of(row.body), row.default_model);
  INFO(row.body);
  REQUIRE(request);
  CHECK(request->body == row.sent);
  CHECK(json::check(request->body));
  CHECK(json::text_of(json::find(json::root(request->body), "model")) == request->model);
}

TEST_CASE("The limit of an answer is said in the words of the request's path", "[render]") {
  struct Row {
    const char* url;
    const char* body;
    const char* params;
    const char* sent;
  };
  const char* chat = "/v1/chat/completions";
  const auto row = GENERATE_COPY(
      Row{chat, R"({"model":"m"})", "{}", R"({"model":"m","max_tokens":50})"},
      Row{chat, R"({"model":"m","max_tokens":9})", "{}", R"({"model":"m","max_tokens":50})"},
      Row{chat, R"({"max_completion_tokens":9,"model":"m"})", "{}",
          R"({"max_completion_tokens":50,"model":"m"})"},
      Row{chat, R"({"max_tokens":8,"max_completion_tokens":9,"model":"m"})", "{}",
          R"({"max_tokens":50,"max_completion_tokens":50,"model":"m"})"},
      Row{chat, R"({"model":"m"})", R"({"max_completion_tokens":7})",
          R"({"model":"m","max_completion_tokens":50})"},
      Row{"/v1/responses", R"({"model":"m","input":"hi"})", "{}",
          R"({"model":"m","input":"hi","max_output_tokens":50})"},
      Row{"/v1/responses", R"({"model":"m","max_output_tokens":5})", "{}",
          R"({"model":"m","max_output_tokens":50})"},
      Row{"/v1/completions", R"({"model":"m","prompt":"x"})", "{}",
          R"({"model":"m","prompt":"x","max_tokens":50})"},
      Row{"/v1/embeddings", R"({"model":"m","input":"x"})", "{}", R"({"model":"m","input":"x"})"},
      Row{"/v1/rerank", R"({"model":"m","query":"x"})", "{}", R"({"model":"m","query":"x"})"},
      Row{"/v1/moderations", R"({"model":"m","input":"x"})", "{}", R"({"model":"m","input":"x"})"});
  JobSpec spec;
  spec.shape.max_tokens = 50;
  spec.shape.params = row.params;
  const std::string line = std::string{R"({"custom_id":"a","method":"POST","url":")"} + row.url +
                           R"(","body":)" + row.body + "}";
  INFO(line);
  CHECK(render(spec, ItemKind::batch_line, line, "").value().body == row.sent);
}

TEST_CASE("The limit of a document's answer goes with its task", "[render]") {
  JobSpec spec;
  spec.shape.max_tokens = 50;
  CHECK(json::find(json::root(render(spec, ItemKind::text, "x", "m").value().body), "max_tokens")
            .text == "50");
  spec.shape.task = Task::embed;
  CHECK(render(spec, ItemKind::text, "x", "m").value().body == R"({"model":"m","input":"x"})");
}

TEST_CASE("A line that names no url calls what the job assumes", "[render]") {
  JobSpec spec;
  spec.shape.assume_url = "/v1/embeddings";
  const auto request =
      render(spec, ItemKind::batch_line, R"({"custom_id":"a","body":{"input":"x"}})", "m");
  CHECK(request.value().path == "/embeddings");
  CHECK(render(spec, ItemKind::batch_line, line_of("{}"), "m").value().path == "/chat/completions");
}

TEST_CASE("A line that cannot be sent says why", "[render]") {
  JobSpec spec;
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, line_of("{}"), "")),
             Catch::Contains("--model"));
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, line_of(R"({"model":7})"), "")),
             Catch::Contains("model to be a string, got a number"));
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, line_of(R"({"stream":true})"), "m")),
             Catch::Contains("stream"));
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, line_of("[]"), "m")),
             Catch::Contains("body"));
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, line_of("{"), "m")),
             Catch::Contains("JSON"));
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, R"({"url":"//x","body":{}})", "m")),
             Catch::Contains("url"));
  spec.shape.params = R"({"stream":true})";
  CHECK_THAT(error_of(render(spec, ItemKind::batch_line, line_of("{}"), "m")),
             Catch::Contains("stream"));
}

TEST_CASE("A document fills the template", "[render]") {
  struct Row {
    ItemKind kind;
    const char* prompt;
    const char* system;
    const char* params;
    const char* raw;
    const char* sent;
  };
  const auto object = ItemKind::json_object;
  const auto row = GENERATE_COPY(
      Row{ItemKind::text, "", "", "{}", "a\n\"b\"",
          R"({"model":"m","messages":[{"role":"user","content":"a\n\"b\""}]})"},
      Row{ItemKind::text, "Say {{text}}, {{ text }}!", "Be brief", "{}", "hi",
          R"({"model":"m","messages":[{"role":"system","content":"Be brief"},)"
          R"({"role":"user","content":"Say hi, hi!"}]})"},
      Row{object, "", "", "{}", R"({"text":"h\u00e9"})",
          "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"h\xc3\xa9\"}]}"},
      Row{object, "{{a}}{{b}}{{c}}{{d}}{{e}}", "", "{}",
          R"({"a":"x","b":1.50,"c":[1, "q"],"d":null,"e":true})",
          R"({"model":"m","messages":[{"role":"user","content":"x1.50[1, \"q\"]nulltrue"}]})"},
      Row{object, "{{a}}", "{{b}}", "{}", R"({"a":"{{b}}","b":"s"})",
          R"({"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"{{b}}"}]})"},
      Row{object, "\\{{a}} {{a}} \\\\{{a}} \\\\\\{{a}} \\{{{a}}", "", "{}", R"({"a":1,"{a":2})",
          R"({"model":"m","messages":[{"role":"user","content":"{{a}} 1 \\1 \\{{a}} {{{a}}"}]})"},
      Row{object, "{\"x\": \\{{\"y\": {{a}}}}", "", "{}", R"({"a":1})",
          R"({"model":"m","messages":[{"role":"user","content":"{\"x\": {{\"y\": 1}}"}]})"},
      Row{object, "{ {a} } }}", "", R"({"temperature":0.0})", R"({})",
          R"({"model":"m","messages":[{"role":"user","content":"{ {a} } }}"}],"temperature":0.0})"});
  JobSpec spec;
  spec.shape.prompt = row.prompt;
  spec.shape.system = row.system;
  spec.shape.params = row.params;
  const auto request = render(spec, row.kind, row.raw, "m");
  REQUIRE(request);
  CHECK(request->body == row.sent);
  CHECK(request->path == "/chat/completions");
  CHECK(request->model == "m");
}

TEST_CASE("The text field may have another name", "[render]") {
  JobSpec spec;
  spec.shape.text_field = "content";
  spec.shape.prompt = "{{text}}";
  const auto request = render(spec, ItemKind::json_object, R"({"content":"c","text":"t"})", "m");
  REQUIRE(request);
  CHECK_THAT(request->body, Catch::Contains(R"("content":"c")"));
}

TEST_CASE("A document that cannot be sent says why", "[render]") {
  JobSpec spec;
  const auto error = [&spec](ItemKind kind, const char* raw) {
    return error_of(render(spec, kind, raw, "m"));
  };
  CHECK_THAT(error(ItemKind::json_object, R"({"x":1})"), Catch::Contains("the field \"text\""));
  CHECK_THAT(error(ItemKind::json_object, "[1]"), Catch::Contains("got an array"));
  CHECK_THAT(error(ItemKind::json_object, "{\"text\":\"x\"} x"), Catch::Contains("JSON object"));
  CHECK_THAT(error(ItemKind::text, "\xff"), Catch::Contains("UTF-8"));
  CHECK_THAT(error_of(render(spec, ItemKind::text, "x", "")), Catch::Contains("--model"));
  spec.shape.prompt = "{{title}}";
  CHECK_THAT(error(ItemKind::json_object, R"({"text":"x"})"),
             Catch::Contains("the field \"title\""));
  CHECK_THAT(error(ItemKind::text, "x"), Catch::Contains("{{title}}"));
  spec.shape.prompt = "{{text";
  CHECK_THAT(error(ItemKind::text, "x"), Catch::Contains("\"}}\""));
}

TEST_CASE("A template's fields come in order and once", "[render]") {
  CHECK(template_fields("a {{x}} {{ y }}{{x}}{{z z}} }}").value() ==
        std::vector<std::string>{"x", "y", "z z"});
  CHECK(template_fields("").value().empty());
  CHECK(template_fields("no { field } here").value().empty());
  CHECK(template_fields("\\{{x}} \\{{").value().empty());
  CHECK(template_fields("\\\\{{x}}").value() == std::vector<std::string>{"x"});
  CHECK(template_fields("\\{{{{x}}").value() == std::vector<std::string>{"x"});
  CHECK_FALSE(template_fields("{{x"));
  CHECK_FALSE(template_fields("{{x}} {{"));
  CHECK_FALSE(template_fields("{{}}"));
  CHECK_FALSE(template_fields("{{ \t}}"));
}

} // namespace openai_render_test
