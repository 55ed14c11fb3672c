// JSON as text: what passes the strict check, and that the pieces of a document are found as they
// stand in it, never outside it.
#include "actors/kit/random.hpp"
#include "protocol/limits.hpp"
#include "protocol/text/json_text.hpp"
#include "protocol/text/json_tree.hpp"

#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>

namespace openai_json_text_test {

using namespace gristmill;
using namespace std::string_literals;

namespace {

std::string nested(std::size_t levels) {
  return std::string(levels, '[') + "1" + std::string(levels, ']');
}

// Walks everything that can be reached, so that a sanitizer sees a view that leaves its text.
std::size_t walk(json::Value value) {
  std::size_t bytes = value.text.size() + json::text_of(value).size();
  json::Members members{value};
  while (const auto member = members.next()) bytes += member->key.size() + walk(member->value);
  json::Elements elements{value};
  while (const auto element = elements.next()) bytes += walk(*element);
  return bytes;
}

} // namespace

TEST_CASE("a tree of foreign text is as deep as a line may be, and no deeper") {
  CHECK(json::tree(nested(limits::json_depth_max - 1)).has_value());
  CHECK(json::tree(nested(limits::json_depth_max)).has_value());
  const auto refused = json::tree(nested(limits::json_depth_max + 1));
  REQUIRE_FALSE(refused.has_value());
  CHECK_THAT(refused.error().message, Catch::Contains("256 levels"));
  CHECK_FALSE(json::tree(nested(1'000'000)).has_value());
  CHECK_FALSE(json::tree("1e999").has_value());
  CHECK_FALSE(json::tree("").has_value());
  CHECK(json::tree(" {\"a\": 1} ")->at("a") == 1);
}

TEST_CASE("Every form of JSON passes the check", "[json_text]") {
  const auto* text = GENERATE(
      "{}", "[]", " [ ] ", "0", "-0", "1.5e+10", "1E-2", "true", "false", "null", "\"\"",
      "{\"a\":1}", "\r\n\t {\"a\" : [1 , {\"b\":null}] , \"a\":2}\r\n",
      R"("\"\\\/\b\f\n\r\té\ud83d\ude00")", "123456789012345678901234567890", "1e999",
      "\"caf\xc3\xa9 \xe2\x80\xa8 \x7f\"", "\"eight by eight bytes and then some more text\"");
  INFO(text);
  CHECK(json::check(text));
}

TEST_CASE("Everything else is refused with the byte where it goes wrong", "[json_text]") {
  struct Row {
    std::string text;
    const char* says;
  };
  const auto row = GENERATE(
      Row{"", "a value at byte 0, got the end"}, Row{"   ", "a value at byte 3"},
      Row{"{", "a member's name"}, Row{"{\"a\":1", "',' or '}' at byte 6"},
      Row{"{\"a\" 1}", "':' at byte 5"}, Row{"{\"a\":}", "a value at byte 5"},
      Row{"{a:1}", "a member's name"}, Row{"{\"a\":1,}", "a member's name"}, Row{"[1,]", "a value"},
      Row{"[1 2]", "',' or ']'"}, Row{"[1}", "',' or ']'"}, Row{"{} {}", "nothing after"},
      Row{"{}x", "nothing after the document at byte 2, got 'x'"},
      Row{"{}\0"s, "got the byte 0x00"}, Row{"\0{}"s, "got the byte 0x00"},
      Row{"\"a\0b\""s, "no control character"}, Row{"\"a\nb\"", "no control character"},
      Row{"\"12345678\x1f\"", "no control character"}, Row{"\"abc", "the closing quote"},
      Row{"\"abc\\", "after a backslash"}, Row{"\"\\x\"", "after a backslash"},
      Row{"\"\\\0\""s, "after a backslash"}, Row{"\"\\u12\"", "four hex digits"},
      Row{"\"\\u12g4\"", "four hex digits"}, Row{"\"\\ud800\"", "low surrogate"},
      Row{"\"\\ud800\\n\"", "low surrogate"}, Row{"\"\\ud800\\ud800\"", "low surrogate"},
      Row{"\"\\udc00\"", "high surrogate"}, Row{"01", "nothing after"}, Row{"-", "a value"},
      Row{"+1", "a value"}, Row{".5", "a value"}, Row{"1.", "a digit after the point"},
      Row{"1e", "a digit in the exponent"}, Row{"1e+", "a digit in the exponent"},
      Row{"tru", "true, false or null"}, Row{"truE", "true, false or null"},
      Row{"nul", "true, false or null"}, Row{"NaN", "a value"}, Row{"'a'", "a value"},
      Row{"\xef\xbb\xbf{}", "a value"}, Row{"\"\xff\"", "UTF-8"}, Row{"\"\xc3\"", "UTF-8"},
      Row{"\"\xed\xa0\x80\"", "UTF-8"}, Row{"\"\xc0\xaf\"", "UTF-8"});
  INFO(row.text);
  const auto checked = json::check(row.text);
  REQUIRE_FALSE(checked);
  CHECK_THAT(checked.error().message, Catch::Contains(row.says));
}

TEST_CASE("Nesting is bounded, however deep the text goes", "[json_text]") {
  const std::size_t most = limits::json_depth_max;
  CHECK(json::check(nested(most - 1)));
  CHECK(json::check(nested(most)));
  CHECK_FALSE(json::check(nested(most + 1)));
  CHECK_FALSE(json::check(std::string(16 * limits::mib, '[')));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  CHECK_FALSE(json::check(objects));
}

TEST_CASE("The check agrees with another parser on damaged documents", "[json_text]") {
  const std::string whole =
      R"( {"a":[1,-2.5e3,true,null,"x\ny\u0041\ud83d\ude00"],"b":{"c":{}},"é":[]} )";
  REQUIRE(json::check(whole));
  const std::string bytes = "{}[]\",:\\0-+.eEtu \n\x01\xc3\xff";
  Random random{7};
  for (int i = 0; i < 50'000; ++i) {
    std::string text = whole;
    for (std::uint64_t changes = 1 + random.below(3); changes > 0; --changes) {
      const std::size_t at = random.below(text.size());
      switch (random.below(3)) {
      case 0: text[at] = bytes[random.below(bytes.size())]; break;
      case 1: text.erase(at, 1 + random.below(4)); break;
      default: text.insert(at, 1, bytes[random.below(bytes.size())]); break;
      }
      if (text.empty()) text = " ";
    }
    const bool ours = json::check(text).has_value();
    if (ours != nlohmann::json::accept(text)) FAIL("they differ on: " << text);
    walk(json::root(text));
    if (ours) CHECK(nlohmann::json::parse(text) == nlohmann::json::parse(json::minified(text)));
  }
}

TEST_CASE("The pieces of a document stand as they are spelled", "[json_text]") {
  const std::string text = R"( { "a" : 1.50 , "b\u0063":[ "x]" , {"y":"}"} , [] ],"a":"last" } )";
  json::Members members{json::root(text)};
  const auto a = members.next(), bc = members.next(), again = members.next();
  REQUIRE(a);
  REQUIRE(bc);
  REQUIRE(again);
  CHECK_FALSE(members.next());
  CHECK(a->value.text == "1.50");
  CHECK(bc->named("bc"));
  CHECK(bc->key == "b\\u0063");
  CHECK(json::text_of(json::find(json::root(text), "a")) == "last");

  json::Elements elements{bc->value};
  CHECK(elements.next()->text == R"("x]")");
  CHECK(elements.next()->text == R"({"y":"}"})");
  CHECK(elements.next()->text == "[]");
  CHECK_FALSE(elements.next());
}

TEST_CASE("A string's escapes are decoded and written back", "[json_text]") {
  CHECK(json::decoded(R"(\"\\\/\b\f\n\r\tA\u00e9\u20ac\ud83d\ude00)") ==
        "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
  std::string all;
  for (int c = 0; c < 128; ++c) all += static_cast<char>(c);
  std::string quoted;
  json::append_string(quoted, all);
  CHECK(json::check(quoted));
  CHECK(json::text_of({quoted}) == all);

  std::string repaired;
  json::append_string(repaired, "a\xff\xc3z\xe2\x82");
  CHECK(repaired == "\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\"");
}

TEST_CASE("Printable text has no controls, is UTF-8 and is cut between characters", "[json_text]") {
  CHECK(json::printable("a\x1b[31m\nb\x7f\xc2\x9b", 100) == "a [31m b  ");
  CHECK(json::printable("\xff", 100) == "\xef\xbf\xbd");
  // Right-to-left override, isolate, mark, Arabic letter mark, line separator.
  CHECK(json::printable("a\u202eb\u2066c\u200fd\u061ce\u2028f", 100) == "a b c d e f");
  CHECK(json::printable("\u200d\u2027\u202f\u2065\u206a\u00a0", 100) ==
        "\u200d\u2027\u202f\u2065\u206a\u00a0");
  CHECK(json::printable_lines("a\x1b]0;b\x07\nc\r\n") == "a ]0;b \nc \n");
  CHECK(json::printable_lines("").empty());
  CHECK(json::with_hidden_escaped("{\n  \"a\": \"\u202e\u009b\x7fé\"\n}") ==
        "{\n  \"a\": \"\\u202e\\u009b\\u007fé\"\n}");
  CHECK(json::printable("abc", 2) == "ab");
  CHECK(json::printable("ab\xc3\xa9", 3) == "ab");
  CHECK(json::printable("ab\xc3\xa9", 4) == "ab\xc3\xa9");
}

TEST_CASE("Only a natural number of 64 bits is an integer", "[json_text]") {
  CHECK(json::integer_of({"0"}) == 0);
  CHECK(json::integer_of({"18446744073709551615"}) == 18446744073709551615u);
  for (const auto* text : {"", "18446744073709551616", "-1", "1.0", "1e3", "\"1\"", "null"})
    CHECK_FALSE(json::integer_of({text}));
}

} // namespace openai_json_text_test
