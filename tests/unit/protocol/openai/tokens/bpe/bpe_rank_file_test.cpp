// Each fault of a rank file is named, with its line.
#include "protocol/limits.hpp"
#include "protocol/openai/tokens/bpe/rank_file.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <catch2/catch.hpp>

namespace bpe_rank_file_test {

using namespace gristmill;
using namespace gristmill::bpe;
using Catch::Matchers::Contains;

namespace {

std::string message_of(const std::string& text) {
  const auto table = read_ranks(text);
  REQUIRE_FALSE(table);
  CHECK(table.error().code == ErrorCode::bad_input);
  return table.error().message;
}

// The file, with line `number` (from 1) changed.
std::string with_line(const std::string& file, std::size_t number, const std::string& line) {
  std::size_t from = 0;
  for (std::size_t i = 1; i < number; ++i) from = file.find('\n', from) + 1;
  return std::string{file}.replace(from, file.find('\n', from) - from, line);
}

std::string numbered(Rank first_after_gap, Rank gap_at, std::size_t count) {
  std::string text = test::rank_file({});
  Rank rank = 256;
  for (std::size_t n = 256; n < count; ++n) {
    if (rank == gap_at) rank = first_after_gap;
    text += test::base64("token" + std::to_string(rank)) + " " + std::to_string(rank) + "\n";
    ++rank;
  }
  return text;
}

} // namespace

TEST_CASE("A file of more ranks than a table may have is refused before one is made", "[bpe]") {
  std::string text;
  for (std::size_t n = 0; n <= limits::ranks_max; ++n) text += "QUFB 1\n";
  CHECK_THAT(message_of(text), Contains("at most 524288 ranks"));
}

TEST_CASE("A rank file is read, whatever ends its lines", "[bpe]") {
  const std::string file = test::rank_file({"ab", "abc"});
  std::string with_cr, with_empty_lines;
  for (const char c : file) {
    with_cr += c == '\n' ? "\r\n" : std::string(1, c);
    with_empty_lines += c == '\n' ? "\n\n" : std::string(1, c);
  }
  for (const std::string& text :
       {file, file.substr(0, file.size() - 1), with_cr, with_empty_lines}) {
    const auto table = read_ranks(text);
    REQUIRE(table);
    CHECK(table->size() == 258);
    CHECK(table->rank_of("ab") == 256);
    CHECK(table->rank_of("abc") == 257);
    CHECK(table->rank_of("\xff") == 255);
    CHECK(table->rank_of("ac") == no_rank);
  }
}

TEST_CASE("A fault of a line is named with the line", "[bpe]") {
  const std::string file = test::rank_file({"ab", "abc"});
  struct Row {
    std::size_t line;
    const char* text;
    const char* sentence;
  };
  const auto row = GENERATE(
      Row{258, "YWJj", "expected a line `BASE64 RANK`, got \"YWJj\": line 258"},
      Row{258, "YWJj ", "expected rank 257 after a token, got \"YWJj \": line 258"},
      Row{258, "YWJj 257 ", "expected rank 257 after a token, got \"YWJj 257 \": line 258"},
      Row{258, "YWJj -1", "expected rank 257 after a token, got \"YWJj -1\": line 258"},
      Row{258, "YWJj x", "expected rank 257 after a token, got \"YWJj x\": line 258"},
      Row{258, "YWJj 99999999999", "expected rank 257 after a token, got"},
      Row{258, "YWJj 256", "expected rank 257, got 256: line 258"},
      Row{258, "YWJj 258", "expected rank 257, got 258: line 258"},
      Row{258, "YWJ 257", "expected a token's bytes in base64, got \"YWJ 257\": line 258"},
      Row{258, "Y*Jj 257", "expected a token's bytes in base64, got"},
      Row{258, "YWJjZ 257", "expected a token's bytes in base64, got"},
      Row{258, "YWJj* 257", "expected a token's bytes in base64, got"},
      Row{258, "YWI=YWI= 257", "expected a token's bytes in base64, got"},
      Row{258, " 257", "expected a token's bytes in base64, got \" 257\": line 258"},
      Row{258, "YWI= 257", "expected each token once, got one of before, \"YWI= 257\": line 258"},
      Row{1, "", "expected rank 0, got 1: line 2"});
  INFO(row.text);
  CHECK_THAT(message_of(with_line(file, row.line, row.text)), Contains(row.sentence));
}

TEST_CASE("A file without one of the single bytes is refused", "[bpe]") {
  CHECK_THAT(
      message_of(with_line(test::rank_file({}), 42, "eHl6 41")),
      Contains("expected a token of each single byte, got 256 tokens, but none of byte 0x29"));
  CHECK_THAT(message_of("IQ== 0\n"), Contains("none of byte 0x00: line 1"));
  CHECK_THAT(message_of(""), Contains("got an empty file"));
  CHECK_THAT(message_of("\n\n\n"), Contains("0 tokens"));
  CHECK_THAT(message_of("<html>\n"), Contains("`BASE64 RANK`, got \"<html>\": line 1"));
}

TEST_CASE("A file that is cut anywhere but at a line's end is refused", "[bpe]") {
  const std::string file = test::rank_file({"ab", "abc", "abcd", "abcde", "abcdef"});
  for (std::size_t size = 0; size < file.size(); ++size) {
    const auto table = read_ranks(file.substr(0, size));
    const bool at_line_end = file[size] == '\n' || (size > 0 && file[size - 1] == '\n');
    INFO("after " << size << " bytes");
    if (!at_line_end) CHECK_FALSE(table);
  }
}

TEST_CASE("Only p50k_base leaves a rank out", "[bpe]") {
  const auto whole = read_ranks(numbered(p50k_left_out + 1, p50k_left_out, p50k_ranks));
  REQUIRE(whole);
  CHECK(whole->size() == p50k_ranks);
  CHECK(whole->rank_of("token50257") == 50'257);
  CHECK(whole->rank_of("token50280") == 50'280);
  CHECK_THAT(message_of(numbered(p50k_left_out + 1, p50k_left_out, p50k_ranks - 1)),
             Contains("expected rank 50256, got 50257: line 50257"));
  CHECK_THAT(message_of(numbered(50'258, p50k_left_out, p50k_ranks)),
             Contains("expected rank 50256, got 50258: line 50257"));
  CHECK_THAT(message_of(numbered(501, 500, 600)), Contains("expected rank 500, got 501: line 501"));
}

TEST_CASE("Foreign bytes are refused and take no memory", "[bpe]") {
  const auto table = read_ranks(test::rank_file({}) + std::string(50'000, '\n'));
  REQUIRE(table);
  CHECK(table->memory() < (1u << 20));
  CHECK_FALSE(read_ranks(std::string(100'000, '\0')));
  CHECK_THAT(message_of("\x1b[2J 0\n"), !Contains("\x1b"));
}

} // namespace bpe_rank_file_test
