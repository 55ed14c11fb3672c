// Cells as text, and what a table's form is called.
#include "cli/export/table_writer.hpp"

#include <catch2/catch.hpp>

namespace table_writer_test {

using namespace gristmill;
using namespace gristmill::cli::flat;

namespace {

std::string row(TableForm form, const std::vector<std::string>& cells) {
  std::vector<std::string> columns;
  std::vector<json::Value> values;
  for (const std::string& cell : cells) {
    columns.push_back("c" + std::to_string(columns.size()));
    values.push_back({cell});
  }
  std::string out;
  TableWriter{form, columns}.append_row(out, values);
  return out;
}

} // namespace

TEST_CASE("Cells are quoted where they must be, and never changed", "[export]") {
  const auto cell = [](const char* json) { return row(TableForm::csv, {json, "1"}); };
  CHECK(cell(R"("plain; text")") == "plain; text,1\n");
  CHECK(cell(R"("a,b")") == "\"a,b\",1\n");
  CHECK(cell(R"("say \"hi\"")") == "\"say \"\"hi\"\"\",1\n");
  CHECK(cell(R"("\"")") == "\"\"\"\",1\n");
  CHECK(cell(R"("a\nb")") == "\"a\nb\",1\n");
  CHECK(cell(R"("a\rb")") == "\"a\rb\",1\n");
  CHECK(cell(R"("a\tb")") == "a\tb,1\n");
  CHECK(cell(R"(" a ")") == " a ,1\n");
  CHECK(cell(R"("=1+1")") == "=1+1,1\n");
  CHECK(cell(R"("\u00e9\ud83d\ude00")") == "\xc3\xa9\xf0\x9f\x98\x80,1\n");
  CHECK(cell("1.50e3") == "1.50e3,1\n");
  CHECK(cell("true") == "true,1\n");
  CHECK(cell("[1,2]") == "\"[1,2]\",1\n");
  CHECK(cell(R"({"a":"b"})") == "\"{\"\"a\"\":\"\"b\"\"}\",1\n");
}

TEST_CASE("Nothing and null are an empty cell, an empty text is quoted", "[export]") {
  CHECK(row(TableForm::csv, {"", "null", R"("")", ""}) == ",,\"\",\n");
  CHECK(row(TableForm::csv, {""}) == "\"\"\n");
  CHECK(row(TableForm::jsonl, {"", "null", R"("")"}) == "{\"c0\":null,\"c1\":null,\"c2\":\"\"}\n");
}

TEST_CASE("A table of tabs", "[export]") {
  CHECK(row(TableForm::tsv, {R"("a,b")", R"("c\td")", "1"}) == "a,b\t\"c\td\"\t1\n");
}

TEST_CASE("JSON stays as it is spelled", "[export]") {
  CHECK(row(TableForm::jsonl, {R"("\u00e9\n")", "1e400", "[1 ,2]"}) ==
        R"({"c0":"\u00e9\n","c1":1e400,"c2":[1 ,2]})"
        "\n");
}

TEST_CASE("What a table begins with", "[export]") {
  const std::vector<std::string> columns{"custom_id", "content.a \"b\"", "/x,y"};
  const TableWriter csv{TableForm::csv, columns}, lines{TableForm::jsonl, columns};
  CHECK(csv.header() == "custom_id,\"content.a \"\"b\"\"\",\"/x,y\"\n");
  CHECK(csv.beginning() == csv.header());
  CHECK(lines.header().empty());
  CHECK(lines.beginning() == R"({"custom_id":)");
}

TEST_CASE("The form of a table is said, or told by a name", "[export]") {
  using enum TableForm;
  CHECK(table_form_of("", "-") == csv);
  CHECK(table_form_of("", "a.csv") == csv);
  CHECK(table_form_of("", "a.csv.gz") == csv);
  CHECK(table_form_of("", "a.tsv.zst") == tsv);
  CHECK(table_form_of("", "a.jsonl") == jsonl);
  CHECK(table_form_of("", "a.ndjson") == jsonl);
  CHECK(table_form_of("jsonl", "-") == jsonl);
  CHECK(table_form_of("tsv", "a.csv") == tsv);
  CHECK(table_form_of("csv", "a.gz") == csv);
  for (const char* name : {"a", "a.gz", "a.xlsx", "a.json", "a.csv.bz2"}) {
    INFO(name);
    const auto form = table_form_of("", name);
    REQUIRE_FALSE(form);
    CHECK_THAT(form.error().message, Catch::Contains(name) && Catch::Contains("--format"));
  }
  const auto other = table_form_of("xlsx", "-");
  REQUIRE_FALSE(other);
  CHECK(other.error().message == "--format: expected csv, tsv or jsonl, got \"xlsx\"");
}

} // namespace table_writer_test
