// An input that comes while it is read: what is there is read, and what it is does not depend on
// how much of it was there.
#include "actors/supervisor/reader.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

#include <fmt/format.h>

namespace growing_input_test {

using namespace gristmill;
using namespace gristmill::intake;
using namespace gristmill::supervisor_test;
using gristmill::supervisor::Reader;

namespace {

struct GrowingSource : MemorySource {
  std::size_t there = 0;
  bool ended = false;

  Result<std::size_t> read(std::uint32_t input, std::uint64_t offset,
                           std::span<char> into) override {
    if (offset >= there)
      return ended ? Result<std::size_t>{0} : fail(ErrorCode::not_yet, "no more of it now");
    return MemorySource::read(input, offset,
                              into.first(std::min<std::size_t>(into.size(), there - offset)));
  }
  bool grows(std::uint32_t) override { return true; }
};

struct Desk {
  GrowingSource source;
  JobSpec spec = spec_of(1);

  Desk(std::string name, std::string text) {
    source.names = {std::move(name)};
    source.inputs = {std::move(text)};
    spec.shape.prompt = "{{text}}";
  }
  // "id=raw": those that can be read now.
  static void read(Intake& intake, std::vector<std::string>& into) {
    for (;;) {
      auto read = intake.read();
      if (!read) {
        REQUIRE(read.error().code == ErrorCode::not_yet);
        return;
      }
      if (read->at_end) return;
      if (read->item)
        into.push_back(fmt::format("{}={}{}", read->item->id, read->item->raw, read->item->bad));
    }
  }
  std::vector<std::string> all() {
    source.there = source.inputs[0].size();
    source.ended = true;
    Intake intake{spec, source, {}};
    std::vector<std::string> items;
    read(intake, items);
    source.there = 0;
    source.ended = false;
    return items;
  }
};

std::string object(int n) {
  return fmt::format("{{\"id\":\"{}\",\"text\":\"of {}\"}}\n", n, n);
}

} // namespace

TEST_CASE("an input that comes byte by byte has the items that it has as a whole") {
  const auto [name, text] = GENERATE(table<std::string, std::string>({
      {"stdin", object(1) + "\n" + object(2) + "bad\n" + object(2) + object(3)},
      {"stdin", object(1) + "{\"id\":\"9\",\"text\":\"without a line end\"}"},
      {"stdin", "\n \n" + object(1) + object(2)},
      {"stdin", "\xEF\xBB\xBF" + object(1) + object(2)},
      {"a.csv", "id,text\n1,x\n2,\"of\ntwo lines\"\n3,\"open\n4,y\n"},
      {"a.csv", "id;text\n1;a,b\n"},
      {"a.txt", "Once upon a time\nthere was a document.\n"},
      {"stdin", "Once upon a time\n{\"id\":1}\n"},
  }));
  CAPTURE(name, text);
  Desk desk{name, text};
  const auto whole = desk.all();
  Intake intake{desk.spec, desk.source, {}};
  std::vector<std::string> items;
  for (std::size_t n = 0; n <= text.size(); ++n) {
    desk.source.there = n;
    desk.read(intake, items);
    REQUIRE(items.size() <= whole.size());
  }
  desk.source.ended = true;
  desk.read(intake, items);
  CHECK(items == whole);
}

TEST_CASE("a line is read as soon as it is there, and a document with its end") {
  Desk lines{"stdin", object(1) + object(2)};
  Intake intake{lines.spec, lines.source, {}};
  std::vector<std::string> items;
  lines.source.there = object(1).size() - 1;
  lines.read(intake, items);
  CHECK(items.empty());
  lines.source.there = object(1).size();
  lines.read(intake, items);
  CHECK(items.size() == 1);
  Desk document{"stdin", "a document"};
  Intake other{document.spec, document.source, {}};
  document.source.there = 10;
  items.clear();
  document.read(other, items);
  CHECK(items.empty());
  document.source.ended = true;
  document.read(other, items);
  CHECK(items.size() == 1);
}

TEST_CASE("what an input is its first line says, whatever comes behind it") {
  const std::string request =
      R"({"custom_id":"r","method":"POST","url":"/v1/chat/completions","body":{"messages":[]}})"
      "\n";
  Desk desk{"stdin", object(1) + request};
  const auto whole = desk.all();
  REQUIRE(whole.size() == 2);
  CHECK(whole[0].starts_with("1={"));
  CHECK_FALSE(whole[1].starts_with("r={")); // it is an object without a text
}

TEST_CASE("READER says since when there is no more, and goes on when there is") {
  const Time now = time_from_ns(0) + 1h;
  Desk desk{"stdin", object(1) + object(2)};
  Reader reader{desk.spec, desk.source, {}, 0};
  reader.look_ahead(false, now, [](const Item&) {});
  CHECK_FALSE(reader.next(now));
  CHECK(reader.starved_since() == now);
  CHECK(reader.must_wait().empty());
  CHECK_FALSE(reader.take_failure());
  CHECK_FALSE(reader.is_at_end());
  desk.source.there = object(1).size();
  reader.fed();
  CHECK_FALSE(reader.starved_since());
  CHECK(reader.next(now)->item);
  CHECK_FALSE(reader.next(now + 1s));
  CHECK(reader.starved_since() == now + 1s);
  SECTION("to its end") {
    desk.source.there = object(1).size() + object(2).size();
    desk.source.ended = true;
    reader.fed();
    CHECK(reader.next(now)->item);
    CHECK(reader.next(now)->at_end);
    CHECK(reader.is_at_end());
  }
  SECTION("or it is cut, because nobody wants more") {
    reader.cut();
    CHECK(reader.next(now)->at_end);
    CHECK(reader.is_at_end());
    CHECK(reader.position().item == 1);
  }
}

TEST_CASE("after a restart nobody waits for what was not there: it was not called") {
  const Time now = time_from_ns(0) + 1h;
  Desk desk{"stdin", object(1) + object(2)};
  desk.source.there = object(1).size();
  Reader reader{desk.spec, desk.source, {}, 1'000};
  std::vector<std::uint64_t> ahead;
  reader.look_ahead(true, now, [&](const Item& item) { ahead.push_back(item.ordinal); });
  CHECK(ahead == std::vector<std::uint64_t>{0});
  CHECK_FALSE(reader.take_failure());
  CHECK_FALSE(reader.starved_since());
  CHECK(reader.catch_up(now));
  CHECK(reader.is_catching_up());
  CHECK(reader.next(now)->item);
  CHECK_FALSE(reader.next(now));
  CHECK_FALSE(reader.is_catching_up());
}

} // namespace growing_input_test
