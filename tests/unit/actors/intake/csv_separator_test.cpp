// What separates the fields of a table, by its header or by the job's word.
#include "actors/intake/csv_separator.hpp"
#include "actors/intake/intake.hpp"

#include "tests/unit/actors/supervisor/supervisor_harness.hpp"

namespace csv_separator_test {

using namespace gristmill;
using namespace gristmill::intake;

TEST_CASE("a header without the usual separator has another one") {
  const auto [head, usual, found] = GENERATE(table<std::string, char, char>({
      {"id,text\n1,a;b\n", ',', ','},
      {"id;text\n1;a,b\n", ',', ';'},
      {"id;text, long\n", ',', ','}, // the usual one is there
      {"id\ttext\n", ',', '\t'},
      {"id|text|n\n", ',', '|'},
      {"id,text\n", '\t', ','},
      {"id\ttext\n", '\t', '\t'},
      {"\"a,b\";\"c,d\"\n", ',', ';'},
      {"\"a\nb\";c\n1,2\n", ',', ';'},
      {"a;b|c|d\n", ',', '|'},
      {"\n\nid;text\n", ',', ';'},
      {"text\na;b\n", ',', ','}, // one column
      // The rows tell which of two it is.
      {"id;text;price, EUR\na;one;1,5\nb;two;2\n", ',', ';'},
      {"id;text;price, EUR\na;one;1,5\n", ',', ';'},
      {"id,text;long\na,one\n", ',', ','},
      // What stands in texts too separates names only.
      {"id:text\na:one\n", ',', ':'},
      {"id^text\na^one\n", ',', '^'},
      {"id~text\n", ',', '~'},
      {"note: text\na: one\n", ',', ','},
      {"id:text\na\n", ',', ':'},
      {"", ',', ','},
  }));
  CAPTURE(head);
  CHECK(opening_of(head, usual, "").separator == found);
  CHECK(opening_of("\xEF\xBB\xBF" + head, usual, "").separator == found);
  CHECK(opening_of(head, usual, "#").separator == '#');
}

TEST_CASE("a first line that only names the separator is no header") {
  const CsvOpening opening = opening_of("sep=|\r\nid|text\r\n", ',', "");
  CHECK(opening.separator == '|');
  CHECK(opening.offset == 7);
  CHECK(opening.lines == 1);
  CHECK(opening_of("\xEF\xBB\xBFsep=;\nid;text\n", ',', "").offset == 9);
  for (const std::string line : {"\"sep=;\"", "SEP=;", "sep=;  "}) {
    CHECK(opening_of(line + "\nid;text\n", ',', "").offset == line.size() + 1);
    CHECK(opening_of(line + "\nid;text\n", ',', "").separator == ';');
  }
  CHECK(opening_of("sep=;", ',', "").offset == 0); // a header and no rows
  CHECK(opening_of("sep=ab\n", ',', "").offset == 0);
}

TEST_CASE("tables of other separators are read, and their rows again") {
  supervisor_test::MemorySource source;
  source.read_max = GENERATE(1, 1'000);
  source.names = {"a.csv", "b.csv", "c.tsv", "d.csv"};
  source.inputs = {"id;text\n1;\"x;y\"\n", "sep=;\n;text\n7;a, b\n", "id,text\n1,x\n",
                   "id#text\n1#x\n"};
  JobSpec spec;
  spec.shape.delimiter = GENERATE(as<std::string>{}, "", "#");
  Intake intake{spec, source, {}};
  std::vector<std::string> raws;
  for (auto item = intake.next(); item && *item; item = intake.next()) {
    if (!(*item)->bad.empty()) continue;
    raws.push_back((*item)->raw);
    CHECK(intake.read_again((*item)->place).value() == (*item)->raw);
  }
  if (spec.shape.delimiter.empty())
    CHECK(raws == std::vector<std::string>{R"({"id":"1","text":"x;y"})", R"({"text":"a, b"})",
                                           R"({"id":"1","text":"x"})"});
  else
    CHECK(raws == std::vector<std::string>{R"({"id":"1","text":"x"})"});
}

} // namespace csv_separator_test
