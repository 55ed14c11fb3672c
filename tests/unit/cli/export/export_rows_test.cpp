// A result's lines as rows, and what ends a table.
#include "cli/export/rows.hpp"
#include "protocol/limits.hpp"
#include "tests/unit/cli/export/export_harness.hpp"

#include <algorithm>

namespace export_rows_test {

using namespace export_test;

namespace {

class Memory final : public intake::ByteSource {
public:
  explicit Memory(std::string text) : text_{std::move(text)} {}
  Result<std::size_t> read(std::uint32_t, std::uint64_t offset, std::span<char> into) override {
    return text_.copy(into.data(), std::min(into.size(), piece_bytes), offset);
  }
  std::uint32_t input_count() const override { return 1; }
  Result<std::string> name_of(std::uint32_t) override { return std::string{"out.jsonl"}; }
  std::unique_ptr<intake::ScratchPages> scratch() override { return {}; }

private:
  static constexpr std::size_t piece_bytes = 100;
  std::string text_;
};

struct Written {
  Result<RowCounts> counts;
  std::string text;
};

Written table_of(const std::string& result, const char* fields, Only only = Only::all,
                 TableForm form = TableForm::csv) {
  Rows rows{form, fields_named(fields).value(), only};
  Memory source{result};
  Written written;
  written.counts = rows.write(source, [&](std::string_view bytes) -> Result<> {
    written.text += bytes;
    return {};
  });
  return written;
}

const std::string result = chat(R"("one")") + "\n" + failed(0) + "\n" + chat(R"("two")") + "\n";

} // namespace

TEST_CASE("Each line is a row", "[export]") {
  const auto table = table_of(result, "status,content,error_code");
  REQUIRE(table.counts);
  CHECK(table.text ==
        "status,content,error_code\ncompleted,one,\nfailed,,too_odd\ncompleted,two,\n");
  CHECK(table.counts->rows == 3);
  CHECK(table.counts->failed == 1);
  CHECK(table_of(result, "content", Only::all, TableForm::jsonl).text ==
        "{\"content\":\"one\"}\n{\"content\":null}\n{\"content\":\"two\"}\n");
}

TEST_CASE("Only what is completed, or has failed", "[export]") {
  CHECK(table_of(result, "content", Only::completed).text == "content\none\ntwo\n");
  const auto table = table_of(result, "status,error_message", Only::failed);
  CHECK(table.text == "status,error_message\nfailed,It is odd.\n");
  CHECK(table.counts->rows == 1);
}

TEST_CASE("A result without items is a header", "[export]") {
  const auto table = table_of("", "custom_id,content.x");
  CHECK(table.text == "custom_id,content.x\n");
  CHECK(table.counts->absent.empty());
}

TEST_CASE("What no line has may be a slip, and is said", "[export]") {
  openai::Provenance kept = about();
  kept.input = R"({"lang":null})";
  const auto table = table_of(chat(R"("x")", kept) + "\n",
                              "votes,input.lang,input.language,content.a,/response/body/nothing");
  REQUIRE(table.counts);
  CHECK(table.counts->absent ==
        std::vector<std::string>{"input.language", "content.a", "/response/body/nothing"});
}

TEST_CASE("A line that does not prove itself ends the table with its place", "[export]") {
  const auto refused = [](const std::string& lines, const char* why) {
    const auto table = table_of(lines, "custom_id");
    INFO(lines);
    REQUIRE_FALSE(table.counts);
    CHECK(table.counts.error().code == ErrorCode::bad_input);
    CHECK_THAT(table.counts.error().message, Catch::Contains(why));
  };
  std::string changed = chat(R"("one")");
  changed.replace(changed.find("one"), 3, "two");
  refused(result + changed + "\n", "out.jsonl:4: expected the CRC");
  refused(result + result.substr(0, 60),
          "out.jsonl:4: expected a whole line, got one that is cut after 60 bytes");
  refused("{\"custom_id\":\"a\",\"response\":null,\"error\":null}\n",
          "out.jsonl:1: expected a result line to end with its CRC");
  refused("\n" + result, "out.jsonl:1: expected a result line, got 0 bytes");
  refused("custom_id,content\n", "out.jsonl:1: expected a result line");
  openai::Provenance part = about();
  part.part = 3;
  refused(chat(R"("x")", part) + "\n", "out.jsonl:1: expected the line of an item");
}

TEST_CASE("A last line without a line end is whole, and carriage returns are taken off",
          "[export]") {
  CHECK(table_of(chat(R"("one")"), "content").text == "content\none\n");
  CHECK(table_of(chat(R"("one")") + "\r\n", "content").text == "content\none\n");
}

TEST_CASE("Lines as long as answers get", "[export]") {
  const std::string text(limits::reply_bytes_max + 1000, 'x');
  const auto table = table_of(chat('"' + text + '"') + "\n", "content");
  REQUIRE(table.counts);
  CHECK(table.text == "content\n" + text + "\n");
}

TEST_CASE("An output that takes no more ends the table", "[export]") {
  Rows rows{TableForm::csv, fields_named("content").value(), Only::all};
  Memory source{result};
  const auto counts = rows.write(
      source, [](std::string_view) -> Result<> { return fail(ErrorCode::disk_full, "full"); });
  REQUIRE_FALSE(counts);
  CHECK(counts.error().code == ErrorCode::disk_full);
}

} // namespace export_rows_test
