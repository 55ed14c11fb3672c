// A piece has the tokens of the definition: searched, by the heap, and by windows of any size.
#include "protocol/openai/tokens/bpe/piece_merger.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <map>
#include <random>

namespace bpe_merger_test {

using namespace gristmill;
using namespace gristmill::bpe;

namespace {

RankTable table_of(const std::vector<std::string>& tokens) {
  RankTable table{256 + tokens.size()};
  Rank rank = 0;
  for (const std::string& token : test::with_single_bytes(tokens)) table.add(token, rank++);
  return table;
}

// The definition, word for word.
std::vector<Rank> defined(const RankTable& ranks, const std::string& piece) {
  if (const Rank whole = ranks.rank_of(piece); whole != no_rank) return {whole};
  std::vector<std::string> parts;
  for (const char c : piece) parts.emplace_back(1, c);
  for (;;) {
    Rank lowest = no_rank;
    std::size_t at = 0;
    for (std::size_t i = 0; i + 1 < parts.size(); ++i)
      if (const Rank rank = ranks.rank_of(parts[i] + parts[i + 1]); rank < lowest) {
        lowest = rank;
        at = i;
      }
    if (lowest == no_rank) break;
    parts[at] += parts[at + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
  std::vector<Rank> tokens;
  for (const std::string& part : parts) tokens.push_back(ranks.rank_of(part));
  return tokens;
}

constexpr MergerSizes searched{1'000'000, 0, 0}, by_heap{0, 1'000'000, 0}, by_windows{0, 0, 0};

void check_piece(const RankTable& ranks, const std::string& piece) {
  const std::vector<Rank> expected = defined(ranks, piece);
  for (const MergerSizes& sizes : {MergerSizes{}, searched, by_heap, by_windows}) {
    Merger merger{ranks, sizes};
    std::vector<Rank> tokens{7};
    const std::size_t count = merger.encode(piece, &tokens);
    tokens.erase(tokens.begin());
    INFO("searched to " << sizes.searched_max << ", windows of " << sizes.window << ": " << piece);
    REQUIRE(tokens == expected);
    REQUIRE(count == expected.size());
    REQUIRE(merger.encode(piece, nullptr) == expected.size());
  }
}

class Random {
public:
  explicit Random(unsigned seed) : engine_{seed} {}
  std::size_t below(std::size_t n) { return engine_() % n; }
  std::string text(const std::string& letters, std::size_t size) {
    std::string all;
    while (all.size() < size) all += letters[below(letters.size())];
    return all;
  }

private:
  std::mt19937 engine_;
};

} // namespace

TEST_CASE("Neighbours of the lowest rank are joined first, of equal ones the leftmost", "[bpe]") {
  // 256 bc, 257 ab, 258 aa, 259 abc, 260 bca
  const RankTable ranks = table_of({"bc", "ab", "aa", "abc", "bca"});
  struct Row {
    const char* piece;
    std::vector<Rank> tokens;
  };
  const auto row = GENERATE(Row{"ab", {257}}, Row{"abc", {259}}, Row{"abcx", {259, 'x'}},
                            Row{"aaa", {258, 'a'}}, Row{"aaaa", {258, 258}}, Row{"x", {'x'}},
                            Row{"aab", {'a', 257}}, Row{"abca", {259, 'a'}},
                            Row{"bcab", {256, 257}}, Row{"xbca", {'x', 260}}, Row{"", {}});
  std::vector<Rank> tokens;
  Merger merger{ranks};
  CHECK(merger.encode(row.piece, &tokens) == row.tokens.size());
  CHECK(tokens == row.tokens);
}

TEST_CASE("A piece that is a token is one, even if no joints lead to it", "[bpe]") {
  const RankTable ranks = table_of({"abcd"});
  check_piece(ranks, "abcd");
  check_piece(ranks, "abcde");
  Merger merger{ranks};
  CHECK(merger.encode("abcd", nullptr) == 1);
  CHECK(merger.encode("abcde", nullptr) == 5);
}

TEST_CASE("Any ranks give any piece the tokens of the definition", "[bpe]") {
  Random random{20'260'901};
  for (int round = 0; round < 150; ++round) {
    const std::string letters = std::string{"abcdefgh"}.substr(0, 1 + random.below(5));
    std::vector<std::string> tokens;
    // Some are made of others before them, as training does it; some are not, and come too early.
    for (std::size_t n = 1 + random.below(60); n > 0; --n)
      tokens.push_back(!tokens.empty() && random.below(2) == 0
                           ? tokens[random.below(tokens.size())] +
                                 tokens[random.below(tokens.size())]
                           : random.text(letters, 2 + random.below(3)));
    const RankTable ranks = table_of(tokens);
    for (const std::size_t size : {random.below(12), random.below(100), random.below(700)})
      check_piece(ranks, random.text(letters, size));
    check_piece(ranks, std::string(random.below(600), 'a'));
  }
}

TEST_CASE("A joint far to the right may decide what is joined here", "[bpe]") {
  // Each pair goes before the one to its left, so the last letter says which pairs there are.
  std::vector<std::string> tokens;
  std::string chain;
  for (char c = 0x7e; c > 0x20; --c) tokens.push_back({static_cast<char>(c - 1), c});
  for (char c = 0x20; c < 0x7f; ++c) chain += c;
  const RankTable ranks = table_of(tokens);
  check_piece(ranks, chain);
  check_piece(ranks, chain.substr(0, chain.size() - 1));
  std::string long_chain;
  for (std::size_t n = 0; n < 30; ++n) long_chain += chain.substr(n % 3, chain.size() - n % 5);
  check_piece(ranks, long_chain);
}

TEST_CASE("A word of millions of letters is encoded", "[bpe]") {
  const RankTable ranks = table_of({"aa", "aaaa", "aaaaaaaa", "ab", "ba", "abab"});
  Merger merger{ranks};
  CHECK(merger.encode(std::string(3'000'000, 'a'), nullptr) == 375'000);
  CHECK(merger.encode(std::string(3'000'000, 'x'), nullptr) == 3'000'000);
  std::string piece;
  while (piece.size() < 3'000'000) piece += "abab";
  std::vector<Rank> tokens;
  CHECK(merger.encode(piece, &tokens) == 750'000);
  CHECK(std::ranges::count(tokens, ranks.rank_of("abab")) == 750'000);
  // One heap for all of it says the same.
  Random random{1};
  const std::string any = random.text("ab", 300'000);
  std::vector<Rank> whole, in_windows;
  Merger{ranks, by_heap}.encode(any, &whole);
  merger.encode(any, &in_windows);
  CHECK(whole == in_windows);
}

} // namespace bpe_merger_test
