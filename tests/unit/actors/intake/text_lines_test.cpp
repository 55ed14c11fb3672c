// What the user says an input is, and lines that are documents.
#include "actors/intake/intake.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <fmt/format.h>

namespace text_lines_test {

using namespace gristmill;
using namespace gristmill::intake;
using namespace gristmill::supervisor_test;
using namespace std::string_literals;
using Catch::Contains;

namespace {

struct Desk {
  MemorySource source;
  JobSpec spec = spec_of(1);

  Desk(std::string name, std::string text, InputForm form) {
    source.names = {std::move(name)};
    source.inputs = {std::move(text)};
    spec.shape.format = form;
    spec.shape.prompt = "{{text}}";
  }
  std::vector<Item> items() {
    Intake intake{spec, source, {}};
    std::vector<Item> all;
    while (auto item = intake.next().value()) {
      if (item->bad.empty()) CHECK(intake.read_again(item->place).value() == item->raw);
      all.push_back(std::move(*item));
    }
    return all;
  }
  std::string raws() {
    std::string text;
    for (const Item& item : items())
      text += fmt::format("{}{}={}", text.empty() ? "" : " ", item.id,
                          item.bad.empty() ? item.raw : "!");
    return text;
  }
};

} // namespace

TEST_CASE("an input is what its user says, whatever its name and its content say") {
  const std::string object = R"({"id":"o","text":"x"})"
                             "\n";
  const auto [name, text, form, raws] =
      GENERATE_COPY(table<std::string, std::string, InputForm, std::string>({
          {"a.txt", object, InputForm::automatic, "a.txt=" + object},
          {"a.txt", object, InputForm::jsonl, R"(o={"id":"o","text":"x"})"},
          {"a.txt", object, InputForm::batch, "a.txt:1=!"}, // a request without a custom_id
          {"a.txt", "id,text\n1,x\n", InputForm::csv, R"(1={"id":"1","text":"x"})"},
          {"a.csv", "id\ttext,\n1\tx\n", InputForm::tsv, "1=!"},
          {"a.csv", "id,text\n", InputForm::text, "a.csv=id,text\n"},
          {"a.jsonl", object, InputForm::text, "a.jsonl=" + object},
          {"stdin", "one\n\n two\r\nthree", InputForm::lines,
           R"(stdin:1={"text":"one"} stdin:3={"text":" two"} stdin:4={"text":"three"})"},
          {"a.jsonl", R"({"a":1})", InputForm::lines, R"(a.jsonl:1={"text":"{\"a\":1}"})"},
      }));
  CAPTURE(name, text);
  CHECK(Desk{name, text, form}.raws() == raws);
}

TEST_CASE("a line that can be no text says why, and others go on") {
  Desk desk{"a", "good\n\xFF\nn\0l\nlast"s, InputForm::lines};
  const auto items = desk.items();
  REQUIRE(items.size() == 4);
  CHECK_THAT(items[1].bad, Contains("UTF-8") && Contains("--normalise"));
  CHECK_THAT(items[2].bad, Contains("NUL"));
  CHECK(items[3].raw == R"({"text":"last"})");
  desk.spec.shape.normalise = true;
  CHECK(desk.items()[1].raw == "{\"text\":\"\xEF\xBF\xBD\"}");
}

TEST_CASE("a line may be as long as its object is allowed to be") {
  const auto [most, good] =
      GENERATE(table<std::uint64_t, bool>({{14, false}, {15, true}, {16, true}}));
  Desk desk{"a", "word\n", InputForm::lines}; // {"text":"word"}
  desk.spec.limits.line_bytes_max = most;
  CHECK(desk.items().front().bad.empty() == good);
}

TEST_CASE("conditions, samples and long documents see a line as the text that it is") {
  Desk desk{"log", "GET /a 200\nGET /b 500\n", InputForm::lines};
  desk.spec.shape.where = {"text~ 5..$"};
  CHECK(desk.raws() == R"(log:2={"text":"GET /b 500"})");
  desk.spec.shape.text_field = "line";
  desk.spec.shape.prompt = "{{line}}";
  desk.spec.shape.where = {"line~ 2..$"};
  CHECK(desk.raws() == R"(log:1={"line":"GET /a 200"})");
}

} // namespace text_lines_test
