// A tokenizer counts what its file and its pattern say, in any number of threads.
#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/text/json_text.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <catch2/catch.hpp>
#include <thread>

namespace bpe_tokenizer_test {

using namespace gristmill;
using namespace gristmill::bpe;
using Catch::Matchers::Contains;

namespace {

// 256 th, 257 the, 258 " the", 259 he, 260 " t"
const std::vector<std::string> words{"th", "the", " the", "he", " t"};

Tokenizer tokenizer_of(const std::vector<std::string>& tokens, std::string_view name) {
  const auto tokenizer = Tokenizer::read(test::rank_file(tokens), name);
  REQUIRE(tokenizer);
  return *tokenizer;
}

} // namespace

TEST_CASE("A text is split first, and each piece is encoded by itself", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of(words, "like-cl100k_base");
  CHECK(tokenizer.encode("the the").size() == 2);
  CHECK(tokenizer.encode("the the") == std::vector<Rank>{257, 258});
  CHECK(tokenizer.encode("athe") == std::vector<Rank>{'a', 257});
  CHECK(tokenizer.encode("t he") == std::vector<Rank>{'t', ' ', 259});
  CHECK(tokenizer.encode("").empty());
  for (const char* text : {"", "t", "the the", "athe thet he\n\nthe"})
    CHECK(tokenizer.count(text) == tokenizer.encode(text).size());
}

TEST_CASE("Names of special tokens are ordinary text", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of(words, "like-cl100k_base");
  CHECK(tokenizer.count("<|endoftext|>") == 13);
}

TEST_CASE("What is no UTF-8 counts as U+FFFD, one for each piece of a character", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of({"\xef\xbf", "\xef\xbf\xbd"}, "like-cl100k_base");
  const std::string one = "\xef\xbf\xbd";
  for (const auto& [text, replaced] : {std::pair<std::string, std::string>{"\xff", one},
                                       {"\xe4\xb8", one},
                                       {"a\x80z", "a" + one + "z"},
                                       {"\xed\xa0\x80", one + one + one},
                                       {"the \xf8\xf8 \xc3(", "the " + one + one + " " + one + "("},
                                       {"\xf0\x9f", one}}) {
    CHECK(tokenizer.encode(text) == tokenizer.encode(replaced));
    CHECK(tokenizer.count(text) == tokenizer.count(replaced));
  }
  CHECK(tokenizer.encode("\xff") == std::vector<Rank>{257});
}

TEST_CASE("The tokens before a place are those that end there at the latest", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of(words, "like-cl100k_base");
  const std::string text = "the the athe";
  Tokenizer::Ends ends{tokenizer, text};
  CHECK(ends.until(0) == 0);
  CHECK(ends.until(2) == 0);
  CHECK(ends.until(3) == 1);
  CHECK(ends.until(6) == 1);
  CHECK(ends.until(7) == 2);
  CHECK(ends.until(text.size()) == tokenizer.count(text));
  CHECK(ends.until(3) == 1); // and back
  ends.forget_before(7);
  CHECK(ends.until(7) == 2);
  CHECK(ends.until(text.size()) == tokenizer.count(text));
}

TEST_CASE("Places are those of the text, though bytes of it are replaced", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of({"\xef\xbf", "\xef\xbf\xbd"}, "like-cl100k_base");
  for (const std::string& text : {std::string{"a\xff"
                                              "b\xef\xbf\xbd\xef"
                                              "c"},
                                  std::string{"\xff\xff"
                                              "the"},
                                  std::string{"plain"}}) {
    Tokenizer::Ends ends{tokenizer, text};
    std::size_t tokens = 0;
    for (std::size_t at = 0; at < text.size();) {
      at += text.substr(at).starts_with("\xef\xbf\xbd") ? 3 : 1; // each of them is a token
      CHECK(ends.until(at) == ++tokens);
      ends.forget_before(at);
    }
    CHECK(tokens == tokenizer.count(text));
  }
}

TEST_CASE("Tokens end where they end in pieces longer than a window", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of({"ab", "aba", "ba"}, "like-cl100k_base");
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += i % 7 == 0 ? "bab" : "a";
  const auto tokens = tokenizer.encode(text);
  Tokenizer::Ends ends{tokenizer, text};
  const auto all = test::with_single_bytes({"ab", "aba", "ba"});
  std::size_t at = 0;
  for (std::size_t n = 0; n < tokens.size(); ++n) {
    at += all[tokens[n]].size();
    REQUIRE(ends.until(at) == n + 1);
    REQUIRE(ends.until(at - 1) == n);
    ends.forget_before(at - 1);
  }
  CHECK(at == text.size());
}

TEST_CASE("A file's faults, its number of ranks and its name are checked", "[bpe]") {
  const auto message = [](const std::string& file, std::string_view name) {
    const auto tokenizer = Tokenizer::read(file, name);
    return tokenizer ? "none" : tokenizer.error().message;
  };
  const std::string file = test::rank_file(words);
  CHECK(message(file, "like-o200k_base") == "none");
  CHECK_THAT(message(file, ""), Contains("got 261; take the whole file"));
  CHECK_THAT(message(file, "o200k_base"),
             Contains("expected the 199998 ranks of o200k_base, got 261"));
  CHECK_THAT(message(file, "llama"), Contains("got \"llama\""));
  CHECK_THAT(message(file.substr(0, file.size() - 3), "like-o200k_base"), Contains("line 261"));
}

TEST_CASE("A tokenizer is known by its name and the SHA-256 of its file", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of({}, "like-r50k_base");
  CHECK(tokenizer.name() == "like-r50k_base");
  CHECK(tokenizer.vocabulary() == 256);
  CHECK(tokenizer.hash() == "e66088df4cdb28fbad3c55ac5a7ae741bc402e732ed948eb096a8ed6f852768f");
  CHECK(tokenizer_of(words, "like-r50k_base").hash() != tokenizer.hash());
}

TEST_CASE("Threads count at the same time", "[bpe]") {
  const Tokenizer tokenizer = tokenizer_of(words, "like-o200k_base");
  std::string text;
  for (int n = 0; n < 200; ++n) text += "The theory isn't " + std::to_string(n) + " thick 中文\n";
  text += std::string(70'000, 't');
  const std::uint64_t expected = tokenizer.count(text);
  std::vector<std::uint64_t> counts(4);
  std::vector<std::thread> threads;
  for (std::uint64_t& count : counts)
    threads.emplace_back([&] {
      for (int round = 0; round < 20; ++round) count += Tokenizer{tokenizer}.count(text);
    });
  for (std::thread& thread : threads) thread.join();
  for (const std::uint64_t count : counts) CHECK(count == 20 * expected);
}

} // namespace bpe_tokenizer_test
