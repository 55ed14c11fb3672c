// What is divided of an item, and what stands for one of its chunks.
#include "protocol/openai/chunk/document.hpp"
#include "protocol/openai/template/document_template.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace openai_chunk_item_test {

using namespace gristmill;
using namespace gristmill::openai;
using nlohmann::json;

namespace {

JobSpec with_text_in(const std::string& field) {
  JobSpec spec;
  spec.shape.text_field = field;
  return spec;
}

} // namespace

TEST_CASE("What is divided is what the template makes of {{text}}") {
  struct Row {
    const char* raw;
    const char* text;
  };
  const JobSpec spec = with_text_in("body");
  for (const Row& row : {Row{R"({"body":"plain"})", "plain"},
                         {R"( {"id":1,"body":"a\n\"b\" \u00e9\ud83d\ude00 é"} )", "a\n\"b\" é😀 é"},
                         {R"({"body":""})", ""},
                         {R"({"body":12.50})", "12.50"},
                         {R"({"body":null})", "null"},
                         {R"({"body":["a", {"b":1}]})", R"(["a", {"b":1}])"},
                         {R"({"body":"first","text":"no","body":"last"})", "last"},
                         {R"({"body":"first","b\u006fdy":"last"})", "last"},
                         {R"({"b\u006fdy":"first","body":2})", "2"}}) {
    INFO(row.raw);
    CHECK(text_of_item(spec, ItemKind::json_object, row.raw) == row.text);
    CHECK(DocumentTemplate{spec}.fill(ItemKind::json_object, row.raw)->prompt == row.text);
  }
  CHECK(text_of_item(spec, ItemKind::json_object, R"({"text":"x"})").empty());
  CHECK(text_of_item(spec, ItemKind::json_object, "{}").empty());
  CHECK(text_of_item(spec, ItemKind::text, R"( {"body":"x"}\n)") == R"( {"body":"x"}\n)");
  CHECK(text_of_item(spec, ItemKind::text, "").empty());
}

TEST_CASE("A chunk's item has the item's members, the chunk as its text, and the numbers") {
  const JobSpec spec = with_text_in("body");
  const auto made = [&](ItemKind kind, std::string_view raw) {
    return chunk_item(spec, kind, raw, "a \"b\"\n", 3, 12);
  };
  const std::string three = R"("body":"a \"b\"\n","chunk":3,"chunks":12})";
  CHECK(made(ItemKind::text, "whatever") == "{" + three);
  CHECK(made(ItemKind::json_object, "{}") == "{" + three);
  CHECK(made(ItemKind::json_object, R"( {"body":"long"} )") == "{" + three);
  CHECK(made(ItemKind::json_object, R"({"a" : 1.0 ,"body":"long","b":{"c": "\u00e9"}})") ==
        R"({"a":1.0,"b":{"c": "\u00e9"},)" + three);
  // Its own ones of these names are other things.
  CHECK(made(ItemKind::json_object, R"({"chunk":"x","a":1,"chunks":[1],"c\u0068unk":2})") ==
        R"({"a":1,)" + three);
  CHECK(made(ItemKind::json_object, R"({"body":1,"b\u006fdy":2,"a":3,"a":4})") ==
        R"({"a":3,"a":4,)" + three);
  CHECK(made(ItemKind::json_object, R"({"\"":1})") == R"({"\"":1,)" + three);
}

TEST_CASE("A chunk's item is a document like any other") {
  JobSpec spec = with_text_in("body");
  spec.shape.prompt = "{{title}} {{chunk}}/{{chunks}}: {{text}}";
  const std::string item = chunk_item(spec, ItemKind::json_object,
                                      R"({"title":"T","body":"x","chunk":"own"})", "é\\\x01", 1, 2);
  CHECK(DocumentTemplate{spec}.fill(ItemKind::json_object, item)->prompt == "T 1/2: é\\\x01");
  CHECK(text_of_item(spec, ItemKind::json_object, item) == "é\\\x01");
  CHECK(json::parse(item)["chunks"] == 2);
  // Bytes that are no UTF-8 are sent as U+FFFD.
  CHECK(json::parse(chunk_item(spec, ItemKind::text, "", "a\xff", 1, 1))["body"] == "a\ufffd");
}

TEST_CASE("A text field with the name of a number keeps the text") {
  for (const char* field : {"chunk", "chunks"}) {
    const JobSpec spec = with_text_in(field);
    const std::string raw = json{{field, "long"}}.dump();
    const std::string item = chunk_item(spec, ItemKind::json_object, raw, "part", 1, 2);
    INFO(item);
    CHECK(text_of_item(spec, ItemKind::json_object, item) == "part");
    CHECK(json::parse(item).size() == 2);
  }
}

TEST_CASE("of a document's other fields those are kept that some template uses") {
  JobSpec spec = with_text_in("body");
  spec.shape.prompt = "{{title}} {{chunk}}: {{text}}";
  spec.shape.system = "You know {{topic}}.";
  spec.shape.reduce_prompt = "{{answers}} of {{ author }}";
  const DocumentReader reader{spec};
  const Document document = reader.read(
      ItemKind::json_object,
      R"({"html":"<p>","title":"T","body":"x","topic":7,"author":{"a":1},"text":"other"})");
  CHECK(document.text == "x");
  const json fields = json::parse(document.fields);
  CHECK(fields["title"] == "T");
  CHECK(fields["topic"] == 7);
  CHECK(fields["author"]["a"] == 1);
  CHECK_FALSE(fields.contains("html"));
  CHECK_FALSE(fields.contains("body"));
  CHECK(reader.read(ItemKind::text, "x").fields == "{}");
  CHECK(reader.read(ItemKind::json_object, R"({"body":"x"})").fields == "{}");
}

} // namespace openai_chunk_item_test
