// Where a text is divided by a tokenizer: no chunk and no overlap has a token more than it may.
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/text/json_text.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <catch2/catch.hpp>
#include <random>

namespace openai_counted_chunks_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

// Its words are some tokens, others a byte each; digits go by three, of which few are known.
const bpe::Tokenizer& tokenizer() {
  static const auto read = bpe::Tokenizer::read(
      test::rank_file({"mi", "mil", " m", " mil", "aa", "aaaa", "aaaaaaaa", "th", "the", " the",
                       "12", "123", "中", "\xe4\xb8", "😀", "\n\n", "  "}),
      "like-cl100k_base");
  return read.value();
}

std::uint64_t tokens_in(std::string_view text) {
  return tokenizer().count(text);
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

// So many words of one token each.
std::string words(std::size_t count) {
  return repeated("mil ", count - 1) + "mil";
}

Chunks divided(std::string_view text, ChunkSize size) {
  return chunks_of(text, size, &tokenizer());
}

std::string_view text_in(std::string_view text, std::size_t begin, std::size_t end) {
  return text.substr(begin, end - begin);
}

// The first of the rules that does not hold; empty = all do.
std::string broken_rule(std::string_view text, ChunkSize size, const Chunks& chunks) {
  if (chunks.front().begin != 0 || chunks.back().end != text.size())
    return "from the first byte to the last";
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const auto [begin, end, gap] = chunks[i];
    if (tokens_in(text_in(text, begin, end)) > size.tokens) return "no larger than it may be";
    if (end < text.size() && json::is_utf8(text) && (text[end] & 0xc0) == 0x80)
      return "not within a sequence";
    if (gap != gap_at_end(text_in(text, begin, end))) return "its gap";
    if (i == 0) continue;
    const std::uint32_t before = chunks[i - 1].end;
    if (begin > before || end <= before) return "each goes on where the one before it ended";
    if (size.overlap == 0 && begin != before) return "no overlap";
    if (tokens_in(text_in(text, begin, before)) > size.overlap) return "no more overlap";
  }
  return "";
}

} // namespace

TEST_CASE(
    "a text of one token less than the limit, and at the limit, is one chunk, beyond it two") {
  const std::uint32_t limit = GENERATE(16u, 17u, 100u, 1'000u);
  for (const std::uint32_t count : {limit - 1, limit}) {
    const std::string text = words(count);
    REQUIRE(tokens_in(text) == count);
    CHECK(divided(text, {limit, 0}) ==
          Chunks{{0, static_cast<std::uint32_t>(text.size()), Gap::none}});
  }
  const std::string beyond = words(limit + 1);
  const Chunks two = divided(beyond, {limit, 0});
  REQUIRE(two.size() == 2);
  CHECK(broken_rule(beyond, {limit, 0}, two).empty());
}

TEST_CASE("chunks are as full as they go, though the estimate would say otherwise") {
  // By the estimate such a word has some tokens more than one.
  const std::string text = repeated("aaaaaaaa ", 1'000);
  const Chunks chunks = divided(text, {100, 0});
  CHECK(broken_rule(text, {100, 0}, chunks).empty());
  for (std::size_t i = 0; i + 2 < chunks.size(); ++i)
    CHECK(tokens_in(text_in(text, chunks[i].begin, chunks[i].end)) >= 98);
}

TEST_CASE("a sentence's end is taken before a word's, as by the estimate") {
  const std::string text = words(40) + ". " + words(40) + ". " + words(40);
  const Chunks chunks = divided(text, {64, 0});
  REQUIRE(chunks.size() >= 2);
  CHECK(chunks[0].end == words(40).size() + 2);
}

TEST_CASE("what a chunk repeats of the one before has no token too many") {
  const auto [tokens, overlap] = GENERATE(table<std::uint32_t, std::uint32_t>(
      {{16, 1}, {16, 8}, {100, 10}, {100, 49}, {100, 50}, {64, 31}}));
  const std::string text = words(1'000) + ". " + repeated("mil the. ", 500);
  const Chunks chunks = divided(text, {tokens, overlap});
  CHECK(broken_rule(text, {tokens, overlap}, chunks).empty());
  if (overlap > 1) CHECK(chunks[1].begin < chunks[0].end);
}

TEST_CASE("no character is divided, of Chinese, of emoji, of bytes that are no text") {
  const std::string text =
      GENERATE(repeated("中", 500), repeated("磨坊主把玉米，", 100),
               repeated("👩‍👩‍👧🇩🇪", 90), repeated("😀", 301),
               repeated("\xff\xe4\xb8", 200), repeated("a\xed\xa0\x80 中", 90));
  for (const ChunkSize size : {ChunkSize{16, 0}, {16, 8}, {17, 3}, {50, 25}})
    CHECK(broken_rule(text, size, divided(text, size)).empty());
}

TEST_CASE("texts of all kinds keep to the limit, and are divided alike each time") {
  constexpr std::string_view pieces[] = {
      "mil", "the ", " mil",     "aaaa",  "a", "123",  "1234", "\n", "\n\n", " ",   "  ",    "中",
      "😀",   ". ",   "\n# head", "don't", "é", "\xff", "。",   "\t", "\r\n", "xyz", "\u00a0"};
  std::mt19937 random{5};
  for (int n = 0; n < 300; ++n) {
    const std::size_t kinds = 1 + random() % std::size(pieces), first = random();
    std::string text = "x";
    for (std::size_t i = random() % 400; i > 0; --i)
      text += pieces[(first + random() % kinds) % std::size(pieces)];
    const auto tokens = static_cast<std::uint32_t>(16 + random() % 100);
    const ChunkSize size{tokens, static_cast<std::uint32_t>(random() % (tokens / 2 + 1))};
    const Chunks chunks = divided(text, size);
    CAPTURE(text, size.tokens, size.overlap);
    REQUIRE(broken_rule(text, size, chunks).empty());
    REQUIRE(chunks == divided(text, size));
  }
}

// Of texts whose tokens change when they are cut, there are fewer in the whole than in its pieces.
TEST_CASE("a text whose groups of digits shift where it is cut keeps to the limit") {
  const std::string text = repeated("123", 2'000);
  REQUIRE(tokens_in(text) == 2'000);
  REQUIRE(tokens_in(text.substr(1)) > 4'000);
  for (const ChunkSize size : {ChunkSize{16, 0}, {100, 0}, {100, 50}}) {
    const Chunks chunks = divided(text, size);
    CHECK(broken_rule(text, size, chunks).empty());
    CHECK(chunks.size() < 2'000);
  }
}

TEST_CASE("a word of three megabytes is divided in time that grows with it alone") {
  const std::string text = GENERATE(repeated("a", 3'000'000), repeated("abcdefg", 430'000),
                                    repeated("中", 1'000'000), repeated(" ", 3'000'000));
  const ChunkSize size{10'000, 1'000};
  CHECK(broken_rule(text.substr(0, 40'000), size, divided(text.substr(0, 40'000), size)).empty());
  const Chunks chunks = divided(text, size);
  CHECK(chunks.back().end == text.size());
}

TEST_CASE("an empty text is one empty chunk, whoever counts") {
  CHECK(divided("", {16, 0}) == Chunks{{0, 0, Gap::none}});
}

} // namespace openai_counted_chunks_test
