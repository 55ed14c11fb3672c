// The forms of an error's body: what is its code, what is its message, what else is kept.
#include "protocol/openai/errors/body.hpp"

#include "protocol/job/outcome_class.hpp"
#include "protocol/openai/api.hpp"
#include "protocol/openai/reply/reply.hpp"
#include "protocol/result.hpp"

#include <catch2/catch.hpp>

namespace openai_error_body_test {

using namespace gristmill;
using namespace gristmill::openai;

TEST_CASE("Each form of an error has its message and its name", "[error_body]") {
  struct Row {
    const char* body;
    const char* name;
    const char* message;
  };
  const auto row = GENERATE(
      Row{R"({"error":{"message":"m","type":"t","param":null,"code":"c"}})", "c", "m"},
      Row{R"({"error":{"message":"m","type":"t","code":null}})", "t", "m"},
      Row{R"({"error":{"message":"m","type":"t","code":400}})", "t", "m"},
      Row{R"({"error":{"message":"m","code":400}})", "400", "m"}, Row{R"({"error":"m"})", "", "m"},
      Row{R"({"message":"m"})", "", "m"}, Row{R"({"msg":"m","code":"c"})", "c", "m"},
      Row{R"("m")", "", "m"},
      Row{R"({"error":"Not Found","message":"no such path","status":404})", "", "no such path"},
      Row{R"({"object":"error","message":"m","type":"t","code":400})", "t", "m"},
      Row{R"({"type":"error","error":{"type":"t","message":"m"},"request_id":"r"})", "t", "m"},
      Row{R"([{"error":{"code":400,"message":"m","status":"INVALID_ARGUMENT"}}])",
          "INVALID_ARGUMENT", "m"},
      Row{R"({"error":{"code":400,"message":"m","status":"S","details":[{"reason":"R"}]}})", "S",
          "m"},
      Row{R"({"detail":"m"})", "", "m"},
      Row{R"({"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required"}]})",
          "missing", "body.messages: Field required"},
      Row{R"({"detail":[{"loc":["body",0,"a"],"msg":"x"},{"loc":["q"],"msg":"y"}]})", "",
          "body.0.a: x; q: y"},
      Row{R"({"detail":{"error":"m"}})", "", "m"},
      Row{R"({"errors":[{"message":"a","code":"c"},{"message":"b"}]})", "c", "a; b"},
      Row{R"({"errors":["a","b"]})", "", "a; b"},
      Row{R"({"fault":{"faultstring":"m","detail":{"errorcode":"c"}}})", "c", "m"},
      Row{R"({"__type":"com.amazon.coral#ThrottlingException","message":"m"})",
          "ThrottlingException", "m"},
      Row{R"({"type":"about:blank","title":"T","status":429,"detail":"m"})", "about:blank", "m"},
      Row{R"({"title":"T","status":429})", "", "T"},
      Row{R"({"Response":{"Error":{"Code":"c","Message":"m"}}})", "c", "m"},
      Row{R"({"error_code":17,"error_msg":"m"})", "17", "m"},
      Row{R"({"errorMessage":"m","errorType":"t"})", "t", "m"},
      Row{R"({"message":"outer","error":{"message":"inner"}})", "", "inner"},
      Row{R"({"error":{"message":{"detail":"deep"}}})", "", "deep"},
      Row{R"({"error":"x","error_type":"validation"})", "validation", "x"});
  CAPTURE(row.body);
  const auto error = read_error(json::root(row.body), BesideAnswer::no);
  REQUIRE(error);
  CHECK(error->name() == row.name);
  CHECK(error->message == row.message);
}

TEST_CASE("A body that says nothing of an error has none", "[error_body]") {
  const auto body =
      GENERATE("{}", "[]", "null", "7", R"({"error":null})", R"({"error":{}})", R"({"error":""})",
               R"({"code":0,"message":"success"})", R"({"object":"list","data":[]})",
               R"({"type":"message","role":"assistant"})", R"({"status":"completed"})");
  CAPTURE(body);
  CHECK_FALSE(read_error(json::root(body), BesideAnswer::no));
}

TEST_CASE("Beside an answer only what calls itself an error is one", "[error_body]") {
  const auto read = [](const char* body) {
    return read_error(json::root(body), BesideAnswer::yes).has_value();
  };
  CHECK(read(R"({"error":{"message":"m"}})"));
  CHECK(read(R"({"error":"m"})"));
  CHECK(read(R"({"object":"error","message":"m"})"));
  CHECK(read(R"({"base_resp":{"status_code":1002}})"));
  CHECK_FALSE(read(R"({"message":"m"})"));
  CHECK_FALSE(read(R"({"detail":"m"})"));
  CHECK_FALSE(read(R"({"errors":["m"]})"));
  CHECK_FALSE(read(R"({"code":"c","msg":"m"})"));
}

TEST_CASE("What stands in metadata is kept and shown", "[error_body]") {
  const Reply reply =
      read_reply(Api::chat, 200, {},
                 R"({"error":{"message":"Provider returned error","code":502,)"
                 R"("metadata":{"raw":"CUDA out of memory on node 7","provider_name":"B"}}})",
                 0);
  CHECK(reply.cls == OutcomeClass::transient);
  CHECK(reply.message == "Provider returned error; metadata: {\"raw\":\"CUDA out of memory on node "
                         "7\",\"provider_name\":\"B\"}");
  CHECK(read_reply(Api::chat, 502, {}, R"({"error":{"metadata":{"a":1}}})", 0).message ==
        R"(metadata: {"a":1})");
}

TEST_CASE("What cannot be read is shown as its first words", "[error_body]") {
  const auto [body, shown] = GENERATE(table<std::string, std::string>({
      {"upstream connect error", "upstream connect error"},
      {"<html><head><title>502 Bad\n Gateway</title></head><body><h1>x</h1></body></html>",
       "502 Bad Gateway"},
      {"<!DOCTYPE html><title></title><h1>Sorry &amp; <b>bye</b></h1>", "Sorry & bye"},
      {"<html><style>a{}</style><script>x()</script><!-- c --><p>Try\nlater</p></html>",
       "Try later"},
      {"<unclosed", "<unclosed"},
      {R"({"weird":{"x":1}})", R"({"weird":{"x":1}})"},
      {R"([1,2])", "[1,2]"},
      {std::string(300, 'x'), std::string(200, 'x')},
      {"", "HTTP 502 without a body"},
  }));
  CAPTURE(body);
  CHECK(read_reply(Api::chat, 502, {}, body, 0).message == shown);
}

TEST_CASE("An error that is too deep ends somewhere", "[error_body]") {
  std::string body;
  for (int i = 0; i < 200; ++i) body += R"({"error":)";
  body += R"("m")" + std::string(200, '}');
  CHECK_FALSE(read_reply(Api::chat, 400, {}, body, 0).message.empty());
}

} // namespace openai_error_body_test
