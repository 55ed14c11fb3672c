#include "protocol/ids.hpp"

#include <catch2/catch.hpp>
#include <stdexcept>

namespace ids_test {

using namespace gristmill;

TEST_CASE("an attempt's id holds its epoch, block and number, each up to its last one") {
  const AttemptId last = AttemptId::of(Epoch{65'535}, (1u << 28) - 1, (1u << 20) - 1);
  CHECK(last.epoch() == 65'535);
  CHECK(last.block() == (1u << 28) - 1);
  CHECK(last.n() == (1u << 20) - 1);
  CHECK(last.value == ~std::uint64_t{0});
  CHECK(to_string(AttemptId::of(Epoch{3}, 5, 7)) == "3-5-7");
}

TEST_CASE("two attempts never have one id: what does not fit is refused") {
  CHECK_THROWS_AS(AttemptId::of(Epoch{65'536}, 1, 1), std::out_of_range);
  CHECK_THROWS_AS(AttemptId::of(Epoch{2}, 1u << 28, 7), std::out_of_range);
  CHECK_THROWS_AS(AttemptId::of(Epoch{2}, 1, 1u << 20), std::out_of_range);
}

} // namespace ids_test
