// Files that are no lines of JSON and no UTF-8 are told as what they are, in one sentence each.
#include "actors/intake/input_format.hpp"
#include "actors/intake/intake.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace input_format_test {

using namespace gristmill;
using namespace gristmill::intake;
using namespace std::string_literals;

namespace {

// ASCII in units of so many bytes.
std::string widened(std::string_view text, std::size_t width, bool little) {
  std::string wide;
  for (const char c : text) {
    std::string unit(width, '\0');
    unit[little ? 0 : width - 1] = c;
    wide += unit;
  }
  return wide;
}

} // namespace

TEST_CASE("a text in UTF-16 or UTF-32 is called that, whatever the file is called") {
  const auto name = GENERATE(as<std::string>{}, "a.txt", "a.csv", "a.tsv.gz", "a.jsonl", "noname");
  const std::string text = "{\"id\":\"a\",\"text\":\"some words\"}\n";
  CAPTURE(name);
  for (const bool little : {true, false})
    for (const std::size_t width : {2u, 4u})
      for (const bool marked : {true, false}) {
        std::string mark = little ? "\xFF\xFE" : "\xFE\xFF";
        if (width == 4) mark = little ? mark + "\0\0"s : "\0\0"s + mark;
        CAPTURE(little, width, marked);
        const InputFormat format =
            format_of(name, (marked ? mark : "") + widened(text, width, little));
        CHECK(format.shape == InputFormat::Shape::refused);
        CHECK_THAT(std::string{format.why_refused},
                   Catch::Contains(width == 2 ? "UTF-16" : "UTF-32") && Catch::Contains("iconv"));
      }
  CHECK(format_of(name, "\xEF\xBB\xBF" + text).shape != InputFormat::Shape::refused);
  CHECK(format_of(name, "{\"id\":\"\u4e00\u4e8c\"}").shape != InputFormat::Shape::refused);
  CHECK(format_of(name, "").shape != InputFormat::Shape::refused);
}

TEST_CASE("a text in UTF-16 that has few zeros is one in UTF-16 all the same") {
  // A line feed and Chinese, from which a binary file differs by what is no text.
  const std::u16string text = u"\u4f60\u597d\u4e16\u754c\u8fd9\u662f\u4e00\u4e2a\u53e5\u5b50\n";
  const bool little = GENERATE(true, false);
  const auto name = GENERATE(as<std::string>{}, "a.txt", "a.csv", "a.jsonl");
  std::string bytes;
  for (const char16_t unit : text) {
    const char low = static_cast<char>(unit & 0xff), high = static_cast<char>(unit >> 8);
    bytes += little ? low : high;
    bytes += little ? high : low;
  }
  CAPTURE(little, name);
  const InputFormat format = format_of(name, bytes);
  CHECK(format.shape == InputFormat::Shape::refused);
  CHECK_THAT(std::string{format.why_refused},
             Catch::Contains("UTF-16") && Catch::Contains("iconv"));
  for (const std::string_view odd : {"\x01\x00", "\xff\xff", "\x00\xdc"}) {
    const std::string binary = bytes + std::string{odd[little ? 0 : 1]} + odd[little ? 1 : 0];
    CHECK(why_other_encoding(binary).empty());
  }
}

TEST_CASE("JSON that is not one object a line is called what it is") {
  const auto [name, head, says] = GENERATE(table<std::string, std::string, std::string>({
      {"a.json", "{\n  \"id\": 1\n}\n", "several lines"},
      {"a.jsonl", "{\r\n\t\"id\": 1\r\n}\r\n{\r\n", "several lines"},
      {"a.json", "{\"id\": 1,\n \"text\": \"x\"}", "several lines"},
      {"a.json", "{\"data\": [\n{\"id\":1}\n]}", "several lines"},
      {"noname", "\n{\n}\n", "several lines"},
      {"a.json", "[{\"id\":1},{\"id\":2}]", "JSON array"},
      {"a.json", "[\n  {\"id\":1},\n  {\"id\":2}\n]\n", "JSON array"},
      {"a.jsonl", "[{\"id\":1},\n{\"id\":2}]\n", "JSON array"},
      {"a.json", "[" + std::string(70'000, ' '), "JSON array"},
      {"noname", " [ {\"id\":1}]", "JSON array"},
      {"a.json", "[]\n", "JSON array"},
      // Lines of which one is bad.
      {"a.jsonl", "{\"id\":1,\"text\":\"cut\n{\"id\":2}\n", ""},
      {"a.jsonl", "{\"id\":1,\n{\"id\":2}\n", ""},
      {"a.jsonl", "{\n{\"id\":2}\n", ""},
      {"a.jsonl", "{\"text\":\"a [\n{\"id\":2}\n", ""},
      {"a.jsonl", "[1]\n{\"id\":2}\n", ""},
      {"a.jsonl", "{\"id\":1}\n", ""},
      {"noname", "[link](to) and more", ""},
      {"a.md", "[\n", ""},
  }));
  CAPTURE(name, head.substr(0, 100));
  const InputFormat format = format_of(name, head);
  CHECK((format.shape == InputFormat::Shape::refused) == !says.empty());
  CHECK_THAT(std::string{format.why_refused}, Catch::Contains(says));
}

TEST_CASE("a refused file is one item, and the files behind it go on") {
  supervisor_test::MemorySource source;
  source.names = {"a.json", "b.csv", "c.jsonl"};
  source.inputs = {"[{\"text\":\"x\"}]", widened("id,text\n1,x\n", 2, true), "{\"text\":\"y\"}\n"};
  JobSpec spec;
  Intake intake{spec, source, {}};
  CHECK_THAT(intake.next().value()->bad, Catch::Contains("JSON array"));
  CHECK_THAT(intake.next().value()->bad, Catch::Contains("UTF-16"));
  CHECK(intake.next().value()->bad.empty());
  CHECK_FALSE(intake.next().value());
}

} // namespace input_format_test
