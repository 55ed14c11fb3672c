// Texts are split as tiktoken splits them; no text and no limit loses a byte.
#include "protocol/openai/tokens/bpe/encodings.hpp"
#include "protocol/openai/tokens/bpe/splitter.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

namespace bpe_splitter_test {

using namespace gristmill;
using namespace gristmill::bpe;
using Catch::Matchers::Contains;

namespace {

using Pieces = std::vector<std::string>;

Splitter splitter_of(const std::string& name, SplitLimits limits = {}) {
  const auto encoding = encoding_of("like-" + name, 0);
  REQUIRE(encoding);
  const auto splitter = Splitter::compile(encoding->pattern, limits);
  REQUIRE(splitter);
  return *splitter;
}

Pieces pieces_of(const Splitter& splitter, std::string_view text) {
  Pieces pieces;
  PieceReader reader{splitter, text};
  for (std::string_view piece = reader.next(); !piece.empty(); piece = reader.next())
    pieces.emplace_back(piece);
  return pieces;
}

std::string joined(const Pieces& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

} // namespace

TEST_CASE("Each encoding splits in its own way", "[bpe]") {
  struct Row {
    const char* text;
    Pieces r50k, cl100k, o200k;
  };
  const auto row = GENERATE(
      Row{"It's 12345!!\n\nOK",
          {"It", "'s", " 12345", "!!", "\n", "\n", "OK"},
          {"It", "'s", " ", "123", "45", "!!\n\n", "OK"},
          {"It's", " ", "123", "45", "!!\n\n", "OK"}},
      Row{"WE'LL dontStop",
          {"WE", "'", "LL", " dontStop"},
          {"WE", "'LL", " dontStop"},
          {"WE'LL", " dont", "Stop"}},
      Row{"a   b", {"a", "  ", " b"}, {"a", "  ", " b"}, {"a", "  ", " b"}},
      Row{"x \n  \n y", {"x", " \n  \n", " y"}, {"x", " \n  \n", " y"}, {"x", " \n  \n", " y"}},
      Row{"end  ", {"end", "  "}, {"end", "  "}, {"end", "  "}},
      Row{"a//b", {"a", "//", "b"}, {"a", "//", "b"}, {"a", "//", "b"}},
      Row{"(größe)", {"(", "größe", ")"}, {"(größe", ")"}, {"(größe", ")"}}, Row{"", {}, {}, {}});
  CHECK(pieces_of(splitter_of("r50k_base"), row.text) == row.r50k);
  CHECK(pieces_of(splitter_of("cl100k_base"), row.text) == row.cl100k);
  CHECK(pieces_of(splitter_of("o200k_base"), row.text) == row.o200k);
}

TEST_CASE("Space, letters and cases are those of Unicode 16", "[bpe]") {
  const Splitter splitter = splitter_of("cl100k_base");
  // U+180E and U+FEFF are no space, U+0085 is; U+017F is an s.
  CHECK(pieces_of(splitter, "\u180e\u180e1") == Pieces{"\u180e\u180e", "1"});
  CHECK(pieces_of(splitter, "\ufeff\ufeff1") == Pieces{"\ufeff\ufeff", "1"});
  CHECK(pieces_of(splitter, "\xc2\x85\xc2\x85"
                            "1") == Pieces{"\xc2\x85", "\xc2\x85", "1"});
  CHECK(pieces_of(splitter, "1'\u017fx") == Pieces{"1", "'\u017f", "x"});
  // A letter, a mark and a number that Unicode 14 had not.
  CHECK(pieces_of(splitter, "a\U00031350b") == Pieces{"a\U00031350b"});
  CHECK(pieces_of(splitter, "1\U0001ccf02") == Pieces{"1\U0001ccf02"});
  CHECK(pieces_of(splitter_of("o200k_base"), "a\u0897b") == Pieces{"a\u0897b"});
}

TEST_CASE("The pieces of any text are that text", "[bpe]") {
  std::mt19937 random{7};
  const Pieces parts{"a",
                     "B",
                     "é",
                     "中",
                     "1",
                     "²",
                     " ",
                     "\n",
                     "\r",
                     "\t",
                     "'",
                     "s",
                     ".",
                     "/",
                     "😀",
                     "\u0301",
                     std::string(1, '\0'),
                     "\u3000",
                     "\U0010ffff",
                     "\u0378",
                     "ǅ"};
  for (const char* name : {"r50k_base", "cl100k_base", "o200k_base"}) {
    const Splitter splitter = splitter_of(name);
    for (int round = 0; round < 2'000; ++round) {
      std::string text;
      for (std::size_t n = random() % 40; n > 0; --n) text += parts[random() % parts.size()];
      const Pieces pieces = pieces_of(splitter, text);
      REQUIRE(joined(pieces) == text);
      REQUIRE(std::ranges::count(pieces, "") == 0);
    }
  }
}

TEST_CASE("Beyond a limit the rest of a text is one piece", "[bpe]") {
  const std::string text = "one two " + std::string(10'000, 'A') + " three four";
  for (const char* name : {"r50k_base", "cl100k_base", "o200k_base"}) {
    const Splitter splitter = splitter_of(name, {0, 0});
    CHECK(pieces_of(splitter, text) == Pieces{text});
    CHECK(pieces_of(splitter_of(name), text).size() == 5);
  }
}

TEST_CASE("Runs of millions of like characters are split", "[bpe]") {
  for (const char* name : {"r50k_base", "cl100k_base", "o200k_base"}) {
    const Splitter splitter = splitter_of(name);
    for (const char* part :
         {"a", "A", " ", "\n", "1", "=", "中", "\u0301", "A中", " \n", "A\u0301"}) {
      std::string text;
      while (text.size() < 2'000'000) text += part;
      text += "x";
      std::size_t bytes = 0;
      PieceReader reader{splitter, text};
      for (std::string_view piece = reader.next(); !piece.empty(); piece = reader.next())
        bytes += piece.size();
      INFO(name << ' ' << part);
      CHECK(bytes == text.size());
    }
  }
}

TEST_CASE("An encoding follows from its name or its number of ranks", "[bpe]") {
  const auto name_of = [](std::string_view name, std::size_t ranks) {
    const auto encoding = encoding_of(name, ranks);
    return encoding ? encoding->name : "error: " + encoding.error().message;
  };
  CHECK(name_of("", 100'256) == "cl100k_base");
  CHECK(name_of("", 199'998) == "o200k_base");
  CHECK(name_of("", 50'280) == "p50k_base");
  CHECK(name_of("", 50'256) == "r50k_base");
  CHECK(name_of("gpt2", 50'256) == "gpt2");
  CHECK(name_of("p50k_edit", 50'280) == "p50k_edit");
  CHECK(name_of("o200k_harmony", 199'998) == "o200k_harmony");
  CHECK(name_of("like-o200k_base", 1'234) == "like-o200k_base");
  CHECK_THAT(
      name_of("", 100'255),
      Contains("expected as many ranks as an encoding of OpenAI has, 100256 (cl100k_base)") &&
          Contains("got 100255; take the whole file"));
  CHECK_THAT(name_of("cl100k_base", 199'998),
             Contains("expected the 100256 ranks of cl100k_base, got 199998; take"));
  CHECK_THAT(name_of("cl100k", 100'256), Contains("got \"cl100k\""));
  CHECK_THAT(name_of("like-", 100'256), Contains("got \"like-\""));
  CHECK(encoding_of("nobody", 1).error().code == ErrorCode::usage);
  CHECK(encoding_of("", 1).error().code == ErrorCode::bad_input);
}

TEST_CASE("A pattern that PCRE2 does not take is named", "[bpe]") {
  const auto splitter = Splitter::compile("(a");
  REQUIRE_FALSE(splitter);
  CHECK_THAT(splitter.error().message, Contains("missing closing parenthesis at 2"));
}

} // namespace bpe_splitter_test
