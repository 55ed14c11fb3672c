// Where a text is divided: the seams that are taken, and the sizes around the limit.
#include "protocol/openai/chunk/chunks.hpp"
#include "protocol/openai/tokens/estimate.hpp"

#include <catch2/catch.hpp>

namespace openai_chunks_test {

using namespace gristmill;
using namespace gristmill::openai;

namespace {

using Texts = std::vector<std::string>;

std::string repeated(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

Texts divided(const std::string& text, std::uint32_t tokens, std::uint32_t overlap = 0) {
  Texts texts;
  for (const Chunk& chunk : chunks_of(text, {tokens, overlap}))
    texts.push_back(text.substr(chunk.begin, chunk.end - chunk.begin));
  return texts;
}

// So many words of one token each.
std::string words(int count) {
  return repeated("mil ", count - 1) + "mil";
}

const std::string several_scripts =
    "# The mill\n\nThe miller poured the corn between two heavy stones. She waited (it was dawn). "
    "Nobody remembered a better year!\n\n## Мельница\r\n\r\nМельник насыпал зерно и ждал муку. "
    "Никто не помнил лучшего года.\r\n* first 3.14\r\n* second, Dr. W. Stone\r\n\n### 磨坊\n"
    "磨坊主把玉米倒在两块沉重的石头之间，等待面粉变细。“村里没有人记得更好的年份！”她说。\n"
    "```\nfor (int i = 0; i < count; ++i)\n    total += values[i];\n```\n"
    "https://example.org/a/very/long/address?with=0123456789abcdef0123456789abcdef0123456789abcdef"
    " 😀🎉🚀 the end";

} // namespace

// Whoever changes these numbers must give the splitter a new name, because jobs that are under way
// would be divided anew.
TEST_CASE("A text of several scripts is divided where it was divided in every life of a job") {
  using G = Gap;
  CHECK(chunks_of(several_scripts, {16, 0}) == Chunks{{0, 57, G::space},
                                                      {57, 91, G::space},
                                                      {91, 125, G::paragraph},
                                                      {125, 178, G::space},
                                                      {178, 211, G::space},
                                                      {211, 266, G::line},
                                                      {266, 280, G::line},
                                                      {280, 305, G::paragraph},
                                                      {305, 352, G::none},
                                                      {352, 391, G::none},
                                                      {391, 436, G::none},
                                                      {436, 470, G::space},
                                                      {470, 506, G::line},
                                                      {506, 542, G::none},
                                                      {542, 574, G::none},
                                                      {574, 598, G::none},
                                                      {598, 624, G::none}});
  CHECK(chunks_of(several_scripts, {32, 0}) == Chunks{{0, 125, G::paragraph},
                                                      {125, 211, G::space},
                                                      {211, 305, G::paragraph},
                                                      {305, 391, G::none},
                                                      {391, 450, G::line},
                                                      {450, 510, G::line},
                                                      {510, 574, G::none},
                                                      {574, 624, G::none}});
  CHECK(chunks_of(several_scripts, {32, 12}) == Chunks{{0, 125, G::paragraph},
                                                       {91, 211, G::space},
                                                       {178, 280, G::line},
                                                       {266, 305, G::paragraph},
                                                       {280, 370, G::none},
                                                       {370, 450, G::line},
                                                       {436, 510, G::line},
                                                       {482, 558, G::none},
                                                       {534, 590, G::none},
                                                       {574, 624, G::none}});
  CHECK(chunks_of(several_scripts, {100, 49}) ==
        Chunks{{0, 305, G::paragraph}, {211, 482, G::line}, {391, 624, G::none}});
  CHECK(chunks_of(several_scripts, {1'000, 100}) == Chunks{{0, 624, G::none}});
}

TEST_CASE("A text that fits is one chunk, one token more makes two") {
  for (const std::uint32_t limit : {16u, 17u, 100u}) {
    const int count = static_cast<int>(limit);
    REQUIRE(text_tokens(words(count)).likely == Approx(limit));
    CHECK(divided(words(count - 1), limit).size() == 1);
    CHECK(divided(words(count), limit).size() == 1);
    CHECK(divided(words(count + 1), limit).size() == 2);
    CHECK(divided(words(count) + " ", limit).size() == 2); // the blank at the end is one, too
    CHECK(divided(words(count), limit, limit / 2 - 1).size() == 1);
  }
}

TEST_CASE("A chunk but the last is filled as far as its words allow") {
  const Texts texts = divided(words(1'000), 100);
  REQUIRE(texts.size() == 11);
  for (std::size_t i = 0; i + 2 < texts.size(); ++i) CHECK(texts[i] == words(99) + " ");
}

TEST_CASE("The last two chunks share what would leave little to the last") {
  const Texts texts = divided(words(105), 100);
  REQUIRE(texts.size() == 2);
  CHECK(text_tokens(texts[0]).likely > 45);
  CHECK(text_tokens(texts[1]).likely > 45);
  // Not where that costs a better end …
  const std::string paragraph = words(80) + "\n\n";
  CHECK(divided(paragraph + words(25), 100) == Texts{paragraph, words(25)});
  // … and not where it costs a chunk.
  for (int count = 101; count < 150; ++count) {
    INFO(count);
    CHECK(divided(words(count), 100, 49).size() == 2);
  }
}

TEST_CASE("An empty text is one empty chunk, and one of only space is one, too") {
  CHECK(chunks_of("", {16, 0}) == Chunks{{0, 0, Gap::none}});
  CHECK(chunks_of("", {16, 7}) == Chunks{{0, 0, Gap::none}});
  CHECK(chunks_of(" ", {16, 7}) == Chunks{{0, 1, Gap::space}});
  CHECK(chunks_of("\n \n", {16, 7}) == Chunks{{0, 3, Gap::paragraph}});
}

TEST_CASE("What a chunk ends with is what stood between it and the next one") {
  struct Row {
    const char* text;
    Gap gap;
  };
  for (const Row& row : {Row{"", Gap::none},
                         {"a", Gap::none},
                         {"。", Gap::none},
                         {" ", Gap::space},
                         {"a\t", Gap::space},
                         {"a\r", Gap::space},
                         {"a\n", Gap::line},
                         {"a\r\n", Gap::line},
                         {"a \n  ", Gap::line},
                         {"\n\na\n", Gap::line},
                         {"a\n\n", Gap::paragraph},
                         {"a\r\n\r\n", Gap::paragraph},
                         {"a\n \t\n\n  ", Gap::paragraph},
                         {"\n\n", Gap::paragraph}}) {
    INFO("\"" << row.text << "\"");
    CHECK(gap_at_end(row.text) == row.gap);
  }
  CHECK(text_of(Gap::none).empty());
  CHECK(text_of(Gap::space) == " ");
  CHECK(text_of(Gap::line) == "\n");
  CHECK(text_of(Gap::paragraph) == "\n\n");
}

TEST_CASE("Of the seams in a chunk's second half the best one is its end") {
  struct Row {
    const char *end, *begin; // of the first chunk, of the second one
    const char* worse;       // behind them, where there is room for it
  };
  const auto row = GENERATE(
      Row{"\n\n", "# ", ".\n\n"}, Row{"\n", "###### ", "\n\n"}, Row{"\n", "   ## ", "\n\n"},
      Row{"\r\n\r\n", "#\r\n", ".\r\n\r\n"}, Row{"\n\n", "", ".\n"}, Row{"\n \t\n", "  ", "\n"},
      Row{"\r\n\r\n", "", "\r\n"}, Row{"\n", "", ". "}, Row{"\r\n", "\t", "! "}, Row{". ", "", " "},
      Row{"! ", "", ", "}, Row{"?  ", "", " "}, Row{"… ", "", " "}, Row{".\" ", "", " "},
      Row{".” ", "", " "}, Row{".» ", "", " "}, Row{"!**) ", "", " "}, Row{".\t", "", "  "},
      Row{"؟ ", "", " "}, Row{"। ", "", " "}, Row{"。", "", " "}, Row{"！」", "", "，"},
      Row{"？", "", "、"}, Row{"。”", "", " "}, Row{"。", "“", "，"}, Row{"．　", "", " "},

      // What looks like a better one and is none.
      Row{". ", "", " W. "}, Row{". ", "", " Ж. "}, Row{". ", "", "\t7. "}, Row{". ", "", " 3.14 "},
      Row{"\n\n", "", "\n    # "}, Row{"\n\n", "", "\n####### "}, Row{"\n\n", "", "\n#no "});
  const std::string first = words(60) + row.end;
  const std::string second = row.begin + words(10) + row.worse + words(60);
  INFO("\"" << row.end << row.begin << "\" before \"" << row.worse << "\"");
  CHECK(divided(first + second, 100) == Texts{first, second});
}

TEST_CASE("A heading stays with what stands below it") {
  const std::string above = words(45) + "\n\n", below = "# Mr. Mil. " + words(4) + "\n\n";
  const std::string sentence = words(20) + ". ";
  CHECK(divided(above + below + sentence + words(60), 100) ==
        Texts{above + below + sentence, words(60)});
  // Of several headings the first one.
  const std::string two = words(60) + "\n", headings = "# mil\n## mil\n\n" + words(60);
  CHECK(divided(two + headings, 100) == Texts{two, headings});
}

TEST_CASE("A good end in the first half of a chunk leaves too little in it") {
  const std::string text = words(45) + "\n\n" + words(85);
  CHECK(divided(text, 100)[0] == words(45) + "\n\n" + words(53) + " ");
}

TEST_CASE("Only a word that is longer than a chunk is divided") {
  const std::string fits(87, 'm'), longer(100, 'm');
  REQUIRE(text_tokens(fits + " ").likely < 16);
  REQUIRE(text_tokens(longer).likely > 16);
  CHECK(divided("mil mil mil " + fits + " mil mil", 16) ==
        Texts{"mil mil mil ", fits + " ", "mil mil"});
  const Texts texts = divided(longer, 16);
  REQUIRE(texts.size() == 2);
  CHECK(texts[0] + texts[1] == longer);
}

TEST_CASE("What a chunk repeats begins with a sentence, else with a word, else anywhere") {
  const auto repeats = [](const std::string& text, std::uint32_t overlap) {
    const Chunks chunks = chunks_of(text, {100, overlap});
    REQUIRE(chunks.size() >= 2);
    return text.substr(chunks[1].begin, chunks[0].end - chunks[1].begin);
  };
  const std::string sentence = words(10) + ". "; // 11.9 tokens with the blank at its end
  const std::string sentences = repeated(sentence, 20);
  CHECK(repeats(sentences, 0).empty());
  CHECK(repeats(sentences, 10) == words(8) + ". ");
  CHECK(repeats(sentences, 11) == words(9) + ". "); // mil x 9, a stop of 0.9, a blank
  CHECK(repeats(sentences, 12) == sentence);
  CHECK(repeats(sentences, 23) == sentence + sentence);
  CHECK(repeats(words(200), 7) == words(6) + " ");
  CHECK(repeats(std::string(2'000, 'm'), 7).size() == 32);
  CHECK(repeats(repeated("水", 200), 7) == repeated("水", 6));
  // There would be room for some of the long word, too.
  const std::string end = words(5) + "\n\n", text = std::string(880, 'm') + " " + end + words(80);
  const Chunks chunks = chunks_of(text, {100, 10});
  REQUIRE(chunks.size() == 3);
  CHECK(text.substr(chunks[2].begin) == end + words(80));
}

TEST_CASE("A chunk repeats no more than leaves room for something new") {
  const std::string long_word = std::string(80, 'm') + " "; // 14.69 tokens
  CHECK(divided(repeated("mil " + long_word, 3), 16, 7) ==
        Texts{"mil " + long_word, "mil " + long_word, "mil " + long_word});
  CHECK(divided(repeated("mil mil " + long_word, 2), 16, 7) ==
        Texts{"mil mil ", "mil " + long_word, "mil mil ", "mil " + long_word});
}

TEST_CASE("A chunk that would fit with one word more may be too long without it") {
  // Before a word a blank costs nothing, at the end it is a token.
  const std::string begin = words(12) + " mill mill. ", end = begin + "，";
  const std::string text = end + words(20);
  REQUIRE(text_tokens(begin).likely > 16);
  REQUIRE(text_tokens(end).likely < 16);
  CHECK(divided(text, 16)[0] == end);
}

} // namespace openai_chunks_test
