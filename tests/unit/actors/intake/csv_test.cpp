// Tables with a header: rows as objects, faults that cost one line, and reading on from any row.
#include "actors/intake/intake.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace csv_test {

using namespace gristmill;
using namespace gristmill::intake;
using supervisor_test::MemorySource;

namespace {

struct Table {
  MemorySource source;
  JobSpec spec;

  explicit Table(std::string text, std::string name = "t.csv") {
    source.inputs = {std::move(text)};
    source.names = {std::move(name)};
    spec.shape.prompt = "Go on."; // names no field, so that any row is an item
    source.read_max = GENERATE(1, 7, 1'000'000);
  }
  std::vector<Item> items(InputPosition from = {}) {
    Intake intake{spec, source, from};
    std::vector<Item> all;
    for (;;) {
      auto item = intake.next();
      REQUIRE(item);
      if (!*item) return all;
      all.push_back(std::move(**item));
    }
  }
  std::vector<std::string> raws() {
    std::vector<std::string> all;
    for (const Item& item : items()) all.push_back(item.bad.empty() ? item.raw : "bad");
    return all;
  }
  std::string failure() {
    const auto item = Intake{spec, source, {}}.next();
    return item ? "" : item.error().message;
  }
};

using Raws = std::vector<std::string>;

} // namespace

TEST_CASE("a row becomes an object with the header's names") {
  CHECK(Table{"id,text\n1,one\n2,two"}.raws() ==
        Raws{R"({"id":"1","text":"one"})", R"({"id":"2","text":"two"})"});
  CHECK(Table{"id\ttext\r\n1\ta, b\r\n", "t.TSV"}.raws() == Raws{R"({"id":"1","text":"a, b"})"});
  CHECK(Table{"\xEF\xBB\xBFid,text\n1,x\n"}.raws() == Raws{R"({"id":"1","text":"x"})"});
  CHECK(Table{"id,text\r1,x\r2,y"}.raws().size() == 2);
  CHECK(Table{"id,text\n\n \n1, x \n\r\n"}.raws() == Raws{R"({"id":"1","text":" x "})"});
  CHECK(Table{"\"id\",\"a \"\"b\"\"\"\n1,\"x,\"\"y\"\"\r\nz\"\n"}.raws() ==
        Raws{R"({"id":"1","a \"b\"":"x,\"y\"\r\nz"})"});
  CHECK(Table{"id,text\n1,5\" pipe\n"}.raws() == Raws{R"({"id":"1","text":"5\" pipe"})"});
  CHECK(Table{"a\tb\n\t\n", "t.tsv"}.raws() == Raws{R"({"a":"","b":""})"});
  CHECK(Table{""}.raws().empty());
  CHECK(Table{"id,text\n"}.raws().empty());
}

TEST_CASE("rows know their ids and their first lines") {
  Table table{"id,text\na,\"one\ntwo\"\n\nb,three\n,four\n"};
  const auto items = table.items();
  REQUIRE(items.size() == 3);
  CHECK(items[0].id == "a");
  CHECK(items[0].place.line == 2);
  CHECK(items[1].id == "b");
  CHECK(items[1].place.line == 5);
  CHECK(items[2].id == "t.csv:6");
}

TEST_CASE("a bad row costs one line and says why") {
  const auto [bad, why] = GENERATE(table<std::string, std::string>({
      {"1", "expected 2 fields as in the header, got 1"},
      {"1,2,3", "expected 2 fields as in the header, got 3"},
      {"1,\"x\ny\",z", "goes on to line 4"},
      {"1,\"open", "closing quote"},
      {"1,\"x\"y", "after a closing quote"},
      {std::string("1,a\0b", 5), "NUL"},
      {"1,\xff\xfe", "UTF-8"},
      {"1," + std::string(100, 'x'), "at most 60 bytes"},
  }));
  CAPTURE(bad);
  Table table{"id,text\n0,before\n" + bad + "\n8,after\n9,last\n"};
  table.spec.limits.line_bytes_max = 60;
  const auto items = table.items();
  REQUIRE(items.size() == 4);
  CHECK(items[0].bad.empty());
  CHECK(items[1].id == "1");
  CHECK(items[1].raw.empty());
  CHECK(items[1].bad.find(why) != std::string::npos);
  CHECK(items[2].raw == R"({"id":"8","text":"after"})");
  CHECK(items[3].raw == R"({"id":"9","text":"last"})");
}

TEST_CASE("a record may be as long as the limit and no longer") {
  const std::uint64_t limit = GENERATE(63, 64, 65);
  Table table{"id,t\n1,\"" + std::string(59, 'x') + "\"\n2,y\n"}; // 63 bytes, as an object 78
  table.spec.limits.line_bytes_max = limit;
  CHECK(table.items()[0].bad.find("as a JSON object") != std::string::npos);
  Table quotes{"id,t\n1,\"" + std::string(60, 'x') + "\"\n2,y\n"}; // 64 bytes
  quotes.spec.limits.line_bytes_max = limit;
  const auto items = quotes.items();
  CHECK(items[0].bad.starts_with(limit < 64 ? "expected a record of at most 63 bytes, got more"
                                            : "expected a record of at most"));
  CHECK(items[1].bad.empty());
}

TEST_CASE("a quote that is never closed is looked for within the limit only") {
  MemorySource source;
  source.inputs = {"id,text\n1,\"open\n" + std::string(3'000'000, 'x') + "\n2,\"y\"\n"};
  source.names = {"t.csv"};
  JobSpec spec;
  spec.limits.line_bytes_max = 100'000;
  Intake intake{spec, source, {}};
  std::vector<std::string> bad;
  for (auto item = intake.next(); item && *item; item = intake.next()) bad.push_back((*item)->bad);
  REQUIRE(bad.size() == 3);
  CHECK(bad[0].starts_with("expected a record of at most 100000 bytes"));
  CHECK(bad[1].starts_with("expected a record of at most 100000 bytes"));
  CHECK(bad[2].empty());
}

TEST_CASE("a header that cannot be used fails the job and says why") {
  CHECK(Table{"\"\",\n1,2\n"}.failure().starts_with("t.csv:1: expected a header"));
  CHECK(Table{",,\n"}.failure().find("no column has a name") != std::string::npos);
  CHECK(Table{"id,\"id\"\n"}.failure().find("two columns have the name \"id\"") !=
        std::string::npos);
  CHECK(Table{"id,\"x\n"}.failure().find("closing quote") != std::string::npos);
  CHECK(Table{std::string("\x89PNG\r\n\x1a\n\0\0", 10)}.failure().find("UTF-8") !=
        std::string::npos);
  CHECK(Table{std::string("a\0b\n", 4)}.failure().find("NUL") != std::string::npos);
}

TEST_CASE("a column without a name is no part of its rows") {
  CHECK(Table{",id,text\n0,a,x\n1,b,y\n"}.raws() ==
        Raws{R"({"id":"a","text":"x"})", R"({"id":"b","text":"y"})"});
  CHECK(Table{"id,,text,\na,1,x,\n"}.raws() == Raws{R"({"id":"a","text":"x"})"});
  CHECK(Table{",id\n1\n"}.raws() == Raws{"bad"}); // it counts all the same
}

TEST_CASE("a bad row keeps its id where nothing before it can be wrong") {
  const auto id_of = [](const std::string& header, const std::string& row) {
    Table table{header + "\n" + row + "\n"};
    const auto items = table.items();
    REQUIRE(items.size() == 1);
    REQUIRE_FALSE(items[0].bad.empty());
    return items[0].id;
  };
  CHECK(id_of("id,text", "1") == "1");
  CHECK(id_of("text,id,n", "x,1") == "1");
  CHECK(id_of("id,text", "1,a, b") == "1");
  CHECK(id_of("text,id", "a, b,1") == "t.csv:2"); // which of them is it?
  CHECK(id_of("text,id", "\xff,1") == "1");
  CHECK(id_of("id,text", "1,\"open") == "1");
  CHECK(id_of("id,text", "\xff,x") == "t.csv:2");
  CHECK(id_of("id,text", ",\"open") == "t.csv:2");
}

TEST_CASE("a header may have as many columns as the limit and no more") {
  const std::size_t columns = GENERATE(columns_max - 1, columns_max, columns_max + 1);
  std::string header;
  for (std::size_t i = 0; i < columns; ++i) header += fmt::format("{}c{}", i > 0 ? "," : "", i);
  MemorySource source;
  source.inputs = {header + "\n"};
  source.names = {"t.csv"};
  JobSpec spec;
  CHECK(Intake{spec, source, {}}.next().has_value() == (columns <= columns_max));
}

TEST_CASE("every row can be read again, also when other tables were read since") {
  MemorySource source;
  JobSpec spec;
  spec.shape.prompt = "Go on.";
  for (int i = 0; i < 7; ++i) {
    source.names.push_back(fmt::format("t-{}.csv", i));
    source.inputs.push_back(fmt::format("id,c{}\n1,\"x\ny\"\n2,z\n", i));
  }
  Intake intake{spec, source, {}};
  std::vector<Item> items;
  for (auto item = intake.next(); item && *item; item = intake.next()) {
    items.push_back(**item);
    for (const Item& before : items) {
      const auto raw = intake.read_again(before.place);
      REQUIRE(raw);
      REQUIRE(*raw == before.raw);
    }
  }
  CHECK(items.size() == 14);
  source.inputs[0] = "id,c0\n1,2,3,4\n2,z\n";
  Intake later{spec, source, {}};
  const auto changed = later.read_again(items[0].place);
  REQUIRE_FALSE(changed);
  CHECK(changed.error().code == ErrorCode::bad_input);
}

TEST_CASE("reading a table goes on from any row as it would have") {
  Table table{"\xEF\xBB\xBFid,text\r\na,\"1\r\n2\"\r\n\r\nb,\"x\nc,3\nd\na,4\n\ne,\"5\"\n"};
  const auto whole = table.items();
  REQUIRE(whole.size() == 6);
  Intake intake{table.spec, table.source, {}};
  for (std::size_t read = 0; read <= whole.size(); ++read) {
    const auto rest = table.items(intake.position());
    REQUIRE(rest.size() == whole.size() - read);
    for (std::size_t i = 0; i < rest.size(); ++i) {
      const Item &a = rest[i], &b = whole[read + i];
      REQUIRE((a.id == b.id && a.raw == b.raw && a.bad == b.bad && a.place.line == b.place.line));
      // The supervisor goes on at an item that is not terminal.
      const InputPosition at{0, b.place.offset, b.place.line - 1, b.ordinal};
      REQUIRE(table.items(at).front().id == b.id);
    }
    REQUIRE(intake.next());
  }
}

} // namespace csv_test
