// Numbers of bytes, and spans of time, as users say them.
#include "actors/kit/program/byte_size.hpp"
#include "cli/terminal/deadline.hpp"

#include <catch2/catch.hpp>

namespace byte_size_test {

using namespace gristmill;
using cli::span_of;

TEST_CASE("a size is a number, or one of a unit") {
  const auto is = [](const char* text) { return byte_size_of(text, "--to").value_or(7); };
  CHECK(is("0") == 0);
  CHECK(is("1048577") == 1'048'577);
  CHECK(is("64K") == 65'536);
  CHECK(is("500M") == 524'288'000);
  CHECK(is("20G") == 21'474'836'480);
  CHECK(is("20GiB") == 21'474'836'480);
  CHECK(is("1T") == 1'099'511'627'776);
  CHECK(is("8388607T") == 9'223'370'937'343'148'032u);
  for (const char* text : {"", "G", "-1", "1.5G", "1GB", "1B", "1iB", "1GG", "1 G", "1g", "1P",
                           "8388608T", "9223372036854775808", "99999999999999999999"}) {
    CAPTURE(text);
    const auto refused = byte_size_of(text, "--to");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == ErrorCode::usage);
    CHECK_THAT(refused.error().message, Catch::StartsWith("--to: expected a size such as 500M"));
  }
}

TEST_CASE("a span has a unit, and is not nothing") {
  CHECK(span_of("90s") == 90);
  CHECK(span_of("30d") == 2'592'000);
  for (const char* text : {"", "0s", "5", "5w", "-5s"}) CHECK_FALSE(span_of(text));
}

} // namespace byte_size_test
