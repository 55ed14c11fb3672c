// A table of ranks knows its tokens, byte for byte, and nothing else.
#include "protocol/openai/tokens/bpe/rank_table.hpp"

#include <catch2/catch.hpp>

namespace bpe_rank_table_test {

using namespace gristmill::bpe;
using namespace std::string_literals;

TEST_CASE("Tokens are told apart by every byte and by their length", "[bpe]") {
  const std::string tokens[] = {"a"s,
                                "a\0"s,
                                "a\0\0"s,
                                "abcd"s,
                                "abcdefg"s,
                                "abcdefgh"s,
                                "abcdefgh\0"s,
                                "abcdefghi"s,
                                "abcdefghijklmno"s,
                                "abcdefghijklmnop"s,
                                "abcdefghX"s,
                                "abcdefgh\tX"s,
                                std::string(9, '\0'),
                                std::string(8, '\0'),
                                std::string(500, 'z')};
  RankTable table{std::size(tokens)};
  Rank rank = 0;
  for (const std::string& token : tokens) CHECK(table.add(token, rank++));
  CHECK_FALSE(table.add("abcdefghi", 99));
  CHECK_FALSE(table.add("abcd", 99));
  for (rank = 0; rank < std::size(tokens); ++rank) CHECK(table.rank_of(tokens[rank]) == rank);
  for (const std::string& other :
       {"b"s, "ab"s, "abc"s, "abcde"s, "abcdefgX"s, "abcdefghj"s, "abcdefghijklmnoX"s, "\t"s,
        std::string(7, '\0'), std::string(499, 'z'), std::string(501, 'z')})
    CHECK(table.rank_of(other) == no_rank);
  CHECK(table.size() == std::size(tokens));
  CHECK(table.longest() == 500);
}

TEST_CASE("Any number of tokens finds its place", "[bpe]") {
  constexpr Rank count = 20'000;
  const auto token = [](Rank n) { return "token" + std::to_string(n * n); };
  RankTable table{count};
  for (Rank n = 0; n < count; ++n) REQUIRE(table.add(token(n), n));
  for (Rank n = 0; n < count; ++n) REQUIRE(table.rank_of(token(n)) == n);
  CHECK(table.rank_of("token2") == no_rank);
}

TEST_CASE("Pairs of bytes are known at once", "[bpe]") {
  RankTable table{3};
  CHECK(table.add("ab", 7));
  CHECK(table.add("\xff\xfe", 8));
  CHECK(table.add("abc", 9));
  CHECK(table.rank_of_pair('a', 'b') == 7);
  CHECK(table.rank_of_pair(0xff, 0xfe) == 8);
  CHECK(table.rank_of_pair('b', 'a') == no_rank);
}

} // namespace bpe_rank_table_test
