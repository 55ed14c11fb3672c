// What a job leaves out is no item, and what it normalises is read again as it was first read.
#include "actors/intake/intake.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <fmt/format.h>

namespace preparation_test {

using namespace gristmill;
using namespace gristmill::intake;
using namespace gristmill::supervisor_test;
using Catch::Contains;

namespace {

struct Desk {
  MemorySource source;
  JobSpec spec = spec_of(0);

  Desk() { spec.shape.prompt = "{{text}}"; }

  Desk& input(const std::string& name, std::string text) {
    spec.inputs.push_back({"/data/" + name, name});
    source.names.push_back(name);
    source.inputs.push_back(std::move(text));
    return *this;
  }
  std::vector<Item> items(InputPosition from = {}) {
    Intake intake{spec, source, from};
    std::vector<Item> all;
    while (auto item = intake.next().value()) {
      if (item->bad.empty()) CHECK(intake.read_again(item->place).value() == item->raw);
      all.push_back(std::move(*item));
    }
    end = intake.position();
    return all;
  }
  std::string ids(InputPosition from = {}) { // "a b! c": ! = bad
    std::string text;
    for (const Item& item : items(from))
      text += fmt::format("{}{}{}", text.empty() ? "" : " ", item.id, item.bad.empty() ? "" : "!");
    return text;
  }
  InputPosition end;
};

std::string row(const std::string& id, const std::string& text, const std::string& lang) {
  return fmt::format("{{\"id\":\"{}\",\"text\":\"{}\",\"lang\":\"{}\"}}\n", id, text, lang);
}

} // namespace

TEST_CASE("records are left out by a condition, then for want of text, and each is counted once") {
  Desk desk;
  desk.input("a.jsonl", row("1", "x", "en") + row("2", "", "en") + row("3", "", "de") +
                            row("4", "x", "de") + "no object\n" + row("5", "x", "en"));
  desk.spec.shape.where = {"lang=en"};
  desk.spec.shape.drop_empty = true;
  CHECK(desk.ids() == "1 a.jsonl:5! 5");
  CHECK(desk.end.before == Preprocessed{2, 1, 0, 0, 0});
  CHECK(desk.end.item == 3);
}

TEST_CASE("a record that lacks what the template needs is left out if no condition holds of it") {
  Desk desk;
  desk.input("a.jsonl", R"({"id":"1","kind":"log"})"
                        "\n" +
                            row("2", "x", "en") + R"({"id":"3","kind":"doc"})" + "\n");
  desk.spec.shape.where = {"kind!=log"};
  CHECK(desk.ids() == "2 3!");
  CHECK(desk.end.before.where == 1);
}

TEST_CASE(
    "conditions see a request's own members, rows by their columns, documents by their text") {
  Desk desk;
  desk.input("a.csv", "id,text,lang\n1,x,en\n2,x,de\n3,x,en,too many\n")
      .input("b.txt", "Moby Dick")
      .input("c.txt", "Emma")
      .input(
          "d.jsonl",
          R"({"custom_id":"x1","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})"
          "\n"
          R"({"custom_id":"y1","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})"
          "\n");
  SECTION("rows") {
    desk.spec.shape.where = {"lang=en"};
    CHECK(desk.ids() == "1 3!"); // of a faulty row nobody knows what it says
    CHECK(desk.end.before.where == 5);
  }
  SECTION("documents") {
    desk.spec.shape.where = {"text~Moby|^x$"};
    CHECK(desk.ids() == "1 2 3! b.txt");
  }
  SECTION("requests") {
    desk.spec.shape.where = {"custom_id~^x"};
    CHECK(desk.ids() == "3! x1");
  }
}

TEST_CASE("what is left out has no id that another one may not have") {
  Desk desk;
  desk.input("a.jsonl",
             row("1", "x", "de") + row("1", "x", "en") + row("1", "x", "de") + row("1", "x", "en"));
  desk.spec.shape.where = {"lang=en"};
  const auto all = desk.items();
  REQUIRE(all.size() == 2);
  CHECK(all[0].bad.empty());
  CHECK_THAT(all[1].bad, Contains("which is line 2's"));
  // The same from anywhere on.
  for (const Item& item : all) {
    const InputPosition from{0, item.place.offset, item.place.line - 1, item.ordinal,
                             item.place.before};
    const auto rest = desk.items(from);
    REQUIRE(rest.size() == all.size() - item.ordinal);
    CHECK(rest.back().bad == all.back().bad);
    CHECK(desk.end.before == Preprocessed{2, 0, 0, 0, 0});
  }
}

TEST_CASE("reading goes on with its counts at any item, and ends with the same") {
  Desk desk;
  std::string lines;
  for (int n = 0; n < 200; ++n)
    lines += row(fmt::format("i{}", n), n % 7 == 0 ? "" : "e\xCC\x81", n % 3 == 0 ? "de" : "en");
  desk.input("a.jsonl", lines).input("b.jsonl", lines);
  desk.spec.shape.where = {"lang=en"};
  desk.spec.shape.drop_empty = desk.spec.shape.normalise = true;
  desk.spec.shape.sample = Percentage::of(60).value();
  const auto all = desk.items();
  const InputPosition end = desk.end;
  CHECK(all.size() + end.before.dropped() == 400);
  CHECK(end.before.where == 134);
  CHECK(end.before.normalised == all.size());
  CHECK(end.before.sample > 0);
  for (const Item& item : all) {
    const auto rest = desk.items({item.place.input, item.place.offset, item.place.line - 1,
                                  item.ordinal, item.place.before});
    REQUIRE(rest.size() == all.size() - item.ordinal);
    CHECK(rest.front().id == item.id);
    CHECK(desk.end == end);
  }
}

// Computed by another program: int.from_bytes(sha256(b"SEED:INPUT:LINE").digest()[:8], "big").
TEST_CASE("a sample is drawn by the place of a record, and a larger one has all of a smaller one") {
  Desk desk;
  std::string lines;
  for (int n = 1; n <= 30; ++n) lines += row(std::to_string(n), "x", "en");
  desk.input("a.jsonl", lines).input("b.txt", "x");
  const auto [percent, seed, ids] = GENERATE(table<double, std::uint64_t, std::string>({
      {10, 0, "12 20 23"},
      {50, 0, "1 4 7 9 10 11 12 14 16 17 20 21 23 27 28 30 b.txt"},
      {50, 1, "3 4 5 7 8 9 10 11 12 15 17 19 20 21 23 25 28"},
      {0.0001, 0, ""},
      {99.9999, 3,
       "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 b.txt"},
      {100, 5,
       "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 b.txt"},
  }));
  CAPTURE(percent, seed);
  desk.spec.shape.sample = Percentage::of(percent).value();
  desk.spec.shape.sample_seed = seed;
  CHECK(desk.ids() == ids);
  CHECK(desk.end.item + desk.end.before.sample == 31);
}

TEST_CASE("bad lines are drawn like others, and the job's limit counts items") {
  Desk desk;
  std::string lines;
  for (int n = 1; n <= 30; ++n) lines += n % 2 == 0 ? "bad\n" : row(std::to_string(n), "x", "en");
  desk.input("a.jsonl", lines);
  desk.spec.shape.sample = Percentage::of(50).value();
  const auto all = desk.items();
  CHECK(all.size() + desk.end.before.sample == 30);
  desk.spec.limits.items = 3;
  CHECK(desk.items().size() == 3);
  CHECK(desk.end.item == 3);
  CHECK(desk.end.before.sample == all[2].place.line - 3);
}

TEST_CASE("records are read in one spelling, whatever they are") {
  Desk desk;
  desk.input("a.jsonl", "{\"id\":\"e\xCC\x81\",\"text\":\"e\xCC\x81\"}\n"
                        "{\"id\":\"2\",\"text\":\"\xE2\x82 and \xFF\"}\n" +
                            row("3", "plain", "en"))
      .input("b.csv", "id,text\n1,e\xCC\x81\n2,\xE9t\xE9\n3,\"a\r\nb\"\n")
      .input("c.txt", "\xEF\xBB\xBF"
                      "e\xCC\x81\r\n\x80");
  SECTION("if the job wants it") {
    desk.spec.shape.normalise = true;
    std::vector<std::string> raw;
    for (const Item& item : desk.items()) {
      CHECK(item.bad.empty());
      raw.push_back(item.raw);
    }
    CHECK(raw == std::vector<std::string>{
                     "{\"id\":\"e\xCC\x81\",\"text\":\"\xC3\xA9\"}",
                     "{\"id\":\"2\",\"text\":\"\xEF\xBF\xBD and \xEF\xBF\xBD\"}",
                     "{\"id\":\"3\",\"text\":\"plain\",\"lang\":\"en\"}",
                     "{\"id\":\"1\",\"text\":\"\xC3\xA9\"}",
                     "{\"id\":\"2\",\"text\":\"\xEF\xBF\xBDt\xEF\xBF\xBD\"}",
                     R"({"id":"3","text":"a\nb"})",
                     "\xC3\xA9\n\xEF\xBF\xBD",
                 });
    CHECK(desk.end.before == Preprocessed{0, 0, 0, 6, 3});
  }
  SECTION("or as they are, and what is no UTF-8 says what would help") {
    std::string bad;
    for (const Item& item : desk.items())
      if (!item.bad.empty()) {
        CHECK_THAT(item.bad, Contains("UTF-8") && Contains("--normalise"));
        bad += item.id + " ";
      }
    CHECK(bad == "2 2 c.txt ");
    CHECK(desk.end.before == Preprocessed{});
  }
}

TEST_CASE("what is too long once it is normalised is a bad line, at the very byte") {
  Desk desk;
  const std::string line = row("1", "\xFF", "en"); // three bytes take the place of one
  desk.input("a.jsonl", line).input("b.txt", std::string(10, 'x') + "\xFF");
  desk.spec.shape.normalise = true;
  const auto [limit, good] = GENERATE(table<int, bool>({{2, true}, {1, false}}));
  SECTION("a line") {
    desk.spec.limits.line_bytes_max = line.size() - 1 + static_cast<std::size_t>(limit);
    const auto item = desk.items().front();
    CHECK(item.bad.empty() == good);
    if (!good) CHECK_THAT(item.bad, Contains("after --normalise"));
    CHECK(item.id == "1");
  }
  SECTION("a document") {
    desk.spec.limits.line_bytes_max = 11 + static_cast<std::size_t>(limit);
    const auto item = desk.items().back();
    CHECK(item.bad.empty() == good);
    if (!good) CHECK_THAT(item.bad, Contains("after --normalise"));
  }
}

TEST_CASE("conditions and the check for text see what is normalised") {
  Desk desk;
  desk.input("a.jsonl", row("1", "x", "e\xCC\x81"));
  desk.spec.shape.where = {"lang=\xC3\xA9"};
  CHECK(desk.ids().empty());
  desk.spec.shape.normalise = true;
  CHECK(desk.ids() == "1");
}

TEST_CASE("one record is read at a time, however many are left out") {
  Desk desk;
  desk.input("a.jsonl", row("1", "x", "de") + row("2", "x", "de") + row("3", "x", "en"));
  desk.spec.shape.where = {"lang=en"};
  Intake intake{desk.spec, desk.source, {}};
  for (int n = 0; n < 2; ++n) {
    const Read read = intake.read().value();
    CHECK_FALSE(read.item);
    CHECK_FALSE(read.at_end);
    CHECK(intake.position().line == static_cast<std::uint64_t>(n) + 1);
  }
  CHECK(intake.read().value().item);
  CHECK(intake.read().value().at_end);
}

} // namespace preparation_test
