// How GRISTMILL_TRY passes an error on.
#include "protocol/result.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace result_test {

using namespace gristmill;

namespace {

const std::string sentence = "a sentence that is too long to be kept within the string itself";

Result<int> number(bool good) {
  if (good) return 7;
  return fail(ErrorCode::io, sentence);
}

Result<std::string> text_of(const Result<int>& named) {
  GRISTMILL_TRY(named);
  return std::to_string(*named);
}

Result<> only_if(bool asked, bool good) {
  if (asked)
    GRISTMILL_TRY(number(good));
  else
    return fail(ErrorCode::refused, "not asked");
  return {};
}

Result<> two_arguments() {
  const auto pair = [](int a, int b) -> Result<> {
    return a < b ? Result<>{} : number(false).map([](int) {});
  };
  GRISTMILL_TRY(pair(1, 2));
  GRISTMILL_TRY(pair(2, 1));
  return {};
}

} // namespace

TEST_CASE("an error is passed on whole, and a named Result keeps it", "[result]") {
  const Result<int> bad = number(false);
  const auto passed = text_of(bad);
  REQUIRE_FALSE(passed);
  CHECK(passed.error().code == ErrorCode::io);
  CHECK(passed.error().message == sentence);
  CHECK(bad.error().message == sentence);
}

TEST_CASE("a good Result goes on, and its value is there", "[result]") {
  CHECK(text_of(number(true)) == "7");
  CHECK(two_arguments().error().message == sentence);
}

TEST_CASE("it is one statement, between an if and its else", "[result]") {
  CHECK(only_if(true, true));
  CHECK(only_if(true, false).error().code == ErrorCode::io);
  CHECK(only_if(false, true).error().code == ErrorCode::refused);
}

} // namespace result_test
