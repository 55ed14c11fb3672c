// One spelling for texts that read the same.
#include "protocol/text/normal_text.hpp"

#include "protocol/text/json_text.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace normal_text_test {

using namespace gristmill;

namespace {

std::string normal(std::string_view text) {
  return normal_text(text).value_or(std::string{text});
}

std::string object(std::string_view text, std::string_view id = "id") {
  return normal_object(text, id).value_or(std::string{text});
}

} // namespace

TEST_CASE("a letter and its accent are one character, and line ends are of one kind") {
  const auto [text, wanted] = GENERATE(table<std::string, std::string>({
      {"", ""},
      {"plain\n", "plain\n"},
      {"e\xCC\x81", "\xC3\xA9"},                    // e, combining acute
      {"\xC3\xA9", "\xC3\xA9"},                     // it is composed already
      {"\xE1\x84\x80\xE1\x85\xA1", "\xEA\xB0\x80"}, // two jamo, one syllable
      {"q\xCC\x87\xCC\xA3", "q\xCC\xA3\xCC\x87"},   // accents in their canonical order
      {"\xE2\x84\xAB", "\xC3\x85"},                 // the sign of Angstrom
      {"\xEF\xAC\x81", "\xEF\xAC\x81"},             // a ligature is no composition
      {"a\r\nb", "a\nb"},
      {"a\r\n\r\n", "a\n\n"},
      {"a\rb", "a\rb"}, // alone it is no line end of today
      {"a\r\r\n", "a\r\n"},
      {"a\r", "a\r"},
      {"e\xCC\x81\r\n", "\xC3\xA9\n"},
      {"\xF0\x9F\x98\x80", "\xF0\x9F\x98\x80"},
      // Assigned after Unicode 14: Kawi's sign of killing, which later tables put before others.
      {"a\xCC\x81\xF0\x91\xBD\x82", "\xC3\xA1\xF0\x91\xBD\x82"},
      {"\xCC\x80\xF0\x91\xBD\x82", "\xCC\x80\xF0\x91\xBD\x82"},
  }));
  CAPTURE(text);
  CHECK(normal(text) == wanted);
  CHECK_FALSE((normal_text(text) && normal(text) == text)); // nothing is made anew for nothing
}

TEST_CASE("of an object all strings but its id are normal, and names of members stay") {
  const auto [text, wanted] = GENERATE(table<std::string, std::string>({
      {R"({"id":"1","text":"plain"})", R"({"id":"1","text":"plain"})"},
      {"{\"text\":\"e\xCC\x81\"}", "{\"text\":\"\xC3\xA9\"}"},
      {R"({"text":"e\u0301"})", "{\"text\":\"\xC3\xA9\"}"},
      {R"({"text":"\u00e9"})", R"({"text":"\u00e9"})"}, // normal: as it was spelled
      {R"({"text":"a\r\nb"})", R"({"text":"a\nb"})"},
      {R"({"text":"a\\r\\nb"})", R"({"text":"a\\r\\nb"})"},
      {"{\"id\":\"e\xCC\x81\",\"text\":\"e\xCC\x81\"}",
       "{\"id\":\"e\xCC\x81\",\"text\":\"\xC3\xA9\"}"},
      {R"({"\u0069d":"e\u0301"})", R"({"\u0069d":"e\u0301"})"}, // it is the id, too
      {"{\"e\xCC\x81\": \"e\xCC\x81\" }", "{\"e\xCC\x81\": \"\xC3\xA9\" }"},
      {"{\"a\":{\"id\":\"e\xCC\x81\"}}", "{\"a\":{\"id\":\"\xC3\xA9\"}}"},
      {"{\"a\":[\"e\xCC\x81\", 1, \"x\", \"e\xCC\x81\"]}",
       "{\"a\":[\"\xC3\xA9\", 1, \"x\", \"\xC3\xA9\"]}"},
      {"{\"id\":[\"e\xCC\x81\"]}", "{\"id\":[\"\xC3\xA9\"]}"}, // no id is a list
      {"{\"a\":\"\\\"e\xCC\x81\\\"\"}", "{\"a\":\"\\\"\xC3\xA9\\\"\"}"},
      {"{\"a\":\"e\xCC\x81\"", "{\"a\":\"e\xCC\x81\""}, // no JSON
      {"{\"a\":\"\\q e\xCC\x81\"}", "{\"a\":\"\\q e\xCC\x81\"}"},
      {"e\xCC\x81", "e\xCC\x81"},
  }));
  CAPTURE(text);
  CHECK(object(text) == wanted);
  CHECK_FALSE((normal_object(text, "id") && object(text) == text));
}

TEST_CASE("pieces of characters that are no UTF-8 become one U+FFFD each") {
  const auto [text, pieces] = GENERATE(table<std::string, int>({
      {"\x80", 1},
      {"\xFF\xFE", 2},
      {"\xC3", 1},
      {"\xC0\xAF", 2},     // never the beginning of one
      {"\xE2\x82", 1},     // the euro sign without its end
      {"\xE0\x80\x80", 3}, // too long a form
      {"\xED\xA0\x80", 3}, // half of a pair
      {"\xF0\x9F\x98", 1},
      {"\xF0\x9F", 1},
      {"\xF0\x80\x80\x80", 4},
      {"\xF4\x90\x80\x80", 4}, // beyond the last one
      {"\xF5\x80", 2},
      {"\xE2\x82\xE2\x82", 2},
  }));
  CAPTURE(text);
  std::string wanted;
  for (int n = 0; n < pieces; ++n) wanted += "\xEF\xBF\xBD";
  CHECK(json::as_utf8(text) == wanted);
  CHECK(json::as_utf8("a" + text + "z") == "a" + wanted + "z");
  CHECK(json::as_utf8(text + "\xC3\xA9") == wanted + "\xC3\xA9");
}

} // namespace normal_text_test
