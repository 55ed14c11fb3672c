// A template that is read once for all documents, and whose text has a bound before it is made.
#include "protocol/limits.hpp"
#include "protocol/openai/line/batch_line.hpp"
#include "protocol/openai/request/render.hpp"
#include "protocol/openai/template/document_template.hpp"
#include "protocol/openai/template/prompt_template.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace document_template_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

} // namespace

TEST_CASE("A filled template has at most as many bytes as a line", "[template]") {
  JobSpec spec;
  spec.shape.prompt = "{{text}}{{text}}..";
  spec.shape.system = "be kind";
  const DocumentTemplate documents{spec};
  const std::size_t most = (limits::request_bytes_max - 2 - spec.shape.system.size()) / 2; // of two
  const std::size_t left = limits::request_bytes_max - 2 - spec.shape.system.size() - 2 * most;
  REQUIRE(left == 1); // so one less or more of the document is two of the text
  for (const std::size_t bytes : {most - 1, most}) {
    const std::string document(bytes, 'x');
    CHECK(documents.why_too_long(ItemKind::text, document).empty());
    const auto text = documents.fill(ItemKind::text, document);
    REQUIRE(text);
    CHECK(text->system == spec.shape.system);
    CHECK(text->prompt.size() == 2 * bytes + 2);
  }
  const std::string document(most + 1, 'x');
  const std::string why = documents.why_too_long(ItemKind::text, document);
  CHECK_THAT(why, Catch::Contains(fmt::format("at most {} bytes", limits::request_bytes_max)) &&
                      Catch::Contains(fmt::format("got {}", limits::request_bytes_max + 1)));
  const auto text = documents.fill(ItemKind::text, document);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == ErrorCode::conflict);
  CHECK(text.error().message == why);
  CHECK(render(spec, documents, ItemKind::text, document, "m").error().code == ErrorCode::conflict);
}

TEST_CASE("The fields of an object count as often as they are named", "[template]") {
  JobSpec spec;
  spec.shape.prompt = repeated("{{body}}", limits::template_fields_max);
  const DocumentTemplate documents{spec};
  CHECK(documents.most_uses() == limits::template_fields_max);
  const std::size_t most = limits::request_bytes_max / limits::template_fields_max;
  const auto object = [](std::size_t bytes) {
    return fmt::format(R"({{"title":"t","body":"{}"}})", std::string(bytes, 'x'));
  };
  CHECK(documents.why_too_long(ItemKind::json_object, object(most - 1)).empty());
  CHECK(documents.why_too_long(ItemKind::json_object, object(most)).empty());
  CHECK(documents.fill(ItemKind::json_object, object(most))->prompt.size() ==
        limits::request_bytes_max);
  CHECK_FALSE(documents.why_too_long(ItemKind::json_object, object(most + 1)).empty());
  CHECK_FALSE(documents.fill(ItemKind::json_object, object(most + 1)));
  // Nothing of 16 GiB is made.
  const std::string bomb = object(limits::line_bytes_max - 100);
  CHECK_THAT(documents.fill(ItemKind::json_object, bomb).error().message,
             Catch::Contains("got 171"));
}

TEST_CASE("A template has so many places to be filled, and no more", "[template]") {
  const auto fields_of = [](std::size_t places) {
    std::string text;
    for (std::size_t i = 0; i < places; ++i) text += fmt::format("{{{{{:x}}}}}", i % 700);
    return template_fields(text);
  };
  CHECK(fields_of(limits::template_fields_max - 1)->size() == 700);
  CHECK(fields_of(limits::template_fields_max)->size() == 700);
  REQUIRE_FALSE(fields_of(limits::template_fields_max + 1));
  CHECK_THAT(fields_of(90'000).error().message, Catch::Contains("at most 1024 fields"));
}

TEST_CASE("Of equal members the last one fills the template, however it is spelled", "[template]") {
  JobSpec spec;
  spec.shape.prompt = "{{a}} {{text}} {{a}}";
  spec.shape.system = "{{b}}";
  spec.shape.text_field = "body";
  const DocumentTemplate documents{spec};
  CHECK(documents.fields() == std::vector<std::string>{"b", "a", "body"});
  CHECK(documents.foreign() == "b");
  const auto text = documents.fill(
      ItemKind::json_object, R"({"a":"1","\u0061":"2\n","b":{"c":[1, 2]},"body":"x\"y","z":0})");
  REQUIRE(text);
  CHECK(text->system == R"({"c":[1, 2]})");
  CHECK(text->prompt == "2\n x\"y 2\n");
  CHECK_THAT(documents.fill(ItemKind::json_object, R"({"a":1})").error().message,
             Catch::Contains("\"b\""));
  CHECK_FALSE(documents.fill(ItemKind::text, "a text"));
}

TEST_CASE("A field that --keep names again is copied once", "[template]") {
  CHECK(kept_fields(R"({"b":2,"a":{"x": 1}})", {"a", "b", "a", "c", "b"}) ==
        R"({"a":{"x":1},"b":2})");
}

} // namespace document_template_test
