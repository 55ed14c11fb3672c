// Which answers are joined by one call.
#include "protocol/openai/chunk/reduce.hpp"

#include "protocol/openai/tokens/bpe/tokenizer.hpp"
#include "protocol/openai/tokens/estimate.hpp"
#include "tests/unit/protocol/openai/tokens/bpe/small_ranks.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

namespace openai_reduce_test {

using namespace gristmill;
using namespace gristmill::openai;

using Numbers = std::vector<std::uint32_t>;

TEST_CASE("An answer's size is its tokens, rounded up, and at least one") {
  CHECK(answer_size("") == 1);
  CHECK(answer_size("a") == 1);
  CHECK(answer_size("one two six") == 3);
  CHECK(answer_size("one two mill") == 4);                            // 3.09
  CHECK(answer_size(std::string(8, 'm') + std::string(8, '1')) == 7); // 1.45 + 5.2
  CHECK(answer_size("磨坊主把玉米倒在两") == 9);                      // 8.1
  CHECK(answer_size("磨坊主把玉米倒在两块") == 9);                    // 9.0, and no trace more
}

TEST_CASE("an answer has the tokens that the tokenizer counts, and at least one") {
  const auto tokenizer =
      bpe::Tokenizer::read(test::rank_file({"th", "the", " the"}), "like-cl100k_base");
  CHECK(answer_size("", &tokenizer.value()) == 1);
  CHECK(answer_size("the the the", &tokenizer.value()) == 3);
  CHECK(answer_size("xyz", &tokenizer.value()) == 3);
}

TEST_CASE("Answers are taken in order while they fit, two of them always") {
  struct Row {
    Numbers sizes;
    std::uint32_t tokens;
    Numbers begins;
  };
  for (const Row& row : {Row{{5}, 10, {0}},
                         {{50}, 10, {0}},
                         {{50, 50}, 10, {0}},
                         {{4, 5}, 10, {0}},
                         // 9, 10 and 11 tokens of three answers.
                         {{3, 3, 3, 9, 9}, 10, {0, 3}},
                         {{3, 3, 4, 9, 9}, 10, {0, 3}},
                         {{3, 3, 5, 9, 9}, 10, {0, 2}},
                         {{6, 6, 6, 6}, 10, {0, 2}},
                         {{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 10, {0, 10}},
                         // One that is left over goes with a pair …
                         {{6, 6, 6}, 10, {0}},
                         {{6, 6, 6, 6, 6}, 10, {0, 2}},
                         // … or has the last one of more.
                         {{3, 3, 3, 3}, 10, {0, 2}},
                         {{2, 2, 2, 2, 2, 9}, 10, {0, 4}},
                         {{6, 6, 3, 3, 3, 3}, 10, {0, 2, 4}},
                         {{0, 0, 0}, 0, {0}},
                         {{1, 1, 1, 1}, 0, {0, 2}},
                         {{4'000'000'000, 4'000'000'000, 1}, 4'294'967'295, {0}}}) {
    INFO(row.sizes.size() << " answers, the last one of " << row.sizes.back());
    CHECK(groups_of(row.sizes, row.tokens) == row.begins);
  }
}

TEST_CASE("Each level has at most half as many groups, down to one, whatever the sizes") {
  std::mt19937 random{3};
  const auto below = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random() % n); };
  for (int i = 0; i < 500; ++i) {
    Numbers sizes(1 + below(300));
    const std::uint32_t tokens = below(200), most = 1 + below(300);
    for (std::uint32_t& size : sizes) size = 1 + below(most);
    INFO("history " << i << ", " << sizes.size() << " answers");
    int levels = 0;
    for (; sizes.size() > 1; ++levels) {
      const Numbers begins = groups_of(sizes, tokens);
      REQUIRE(begins == groups_of(sizes, tokens));
      REQUIRE(begins.front() == 0);
      REQUIRE(begins.size() * 2 <= sizes.size());
      for (std::size_t g = 0; g < begins.size(); ++g) {
        const std::size_t end = g + 1 < begins.size() ? begins[g + 1] : sizes.size();
        REQUIRE(end >= begins[g] + 2); // behind the one before it, and two at least
        std::uint64_t sum = 0;
        for (std::size_t at = begins[g]; at < end; ++at) sum += sizes[at];
        // Three by need only, at the end.
        REQUIRE((sum <= tokens || end == begins[g] + 2 ||
                 (end == begins[g] + 3 && end == sizes.size())));
      }
      sizes.resize(begins.size());
      for (std::uint32_t& size : sizes) size = 1 + below(most);
    }
    REQUIRE(groups_of(sizes, tokens) == Numbers{0});
    REQUIRE(levels <= 9);
  }
}

} // namespace openai_reduce_test
