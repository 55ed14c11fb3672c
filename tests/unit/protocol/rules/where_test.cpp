// Which records become items.
#include "protocol/rules/where.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace where_test {

using namespace gristmill;
using Catch::Contains;

TEST_CASE("a condition holds of what a record's own member says") {
  const std::string object =
      R"({"lang":"en","n":3,"x":3.0,"ok":true,"none":null,"empty":"","deep":{"a": [1, 2]},)"
      R"("t":"caf\u00e9 \"au lait\"","a=b":"c","two":"x","two":"y"})";
  const auto [condition, holds] = GENERATE(table<std::string, bool>({
      {"lang=en", true},
      {"lang=EN", false},
      {"lang=e", false},
      {"lang!=de", true},
      {"lang!=en", false},
      {"lang~^e", true},
      {"lang~n$", true},
      {"lang~^n", false},
      {"lang~(?i)EN", true},
      {"n=3", true},
      {"n=3.0", false}, // as spelled
      {"x=3.0", true},
      {"ok=true", true},
      {"none=", false},
      {"none=null", false},
      {"none!=null", true},
      {"none~", false}, // not even what matches all
      {"missing=", false},
      {"missing!=x", true},
      {"missing~.*", false},
      {"empty=", true},
      {"empty~^$", true},
      {"a=b", false}, // up to the first sign it is the field
      {"deep={\"a\":[1,2]}", true},
      {"t=caf\xC3\xA9 \"au lait\"", true},
      {"t~caf.\\s", true}, // a dot is a character
      {"two=y", true},     // of equal members the last one counts
      {"lang==en", false}, // the value is "=en"
      {"lang~=", false},
      {"lang!x=y", false}, // a field may have any name
  }));
  CAPTURE(condition);
  CHECK(Condition::read(condition));
  CHECK(Where{{condition}}.takes_object(object) == holds);
}

TEST_CASE("several conditions all have to hold") {
  const Where where{{"lang=en", "n~^[0-9]+$"}};
  CHECK(where.takes_object(R"({"lang":"en","n":"12"})"));
  CHECK_FALSE(where.takes_object(R"({"lang":"en","n":"12a"})"));
  CHECK_FALSE(where.takes_object(R"({"lang":"de","n":"12"})"));
  CHECK(Where{{}}.takes_object("{}"));
  CHECK(Where{{}}.is_empty());
}

TEST_CASE("a document has one field, its text") {
  CHECK(Where{{"text~Moby"}}.takes_text("Moby Dick", "text"));
  CHECK_FALSE(Where{{"text~Moby"}}.takes_text("Emma", "text"));
  CHECK_FALSE(Where{{"text~Moby"}}.takes_text("Moby Dick", "body"));
  CHECK_FALSE(Where{{"lang=en"}}.takes_text("x", "text"));
  CHECK(Where{{"lang!=en"}}.takes_text("x", "text"));
}

TEST_CASE("what is no condition is refused with what would be one") {
  const auto [text, why] = GENERATE(table<std::string, std::string>({
      {"", "expected FIELD=VALUE, FIELD!=VALUE or FIELD~REGEX, got \"\""},
      {"lang", "got \"lang\""},
      {"=en", "got \"=en\""},
      {"!=en", "got \"!=en\""},
      {"~x", "got \"~x\""},
      {"a~(", "expected a regular expression that RE2 takes, got \"(\": missing )"},
      {"a~\\1", "got \"\\1\": invalid escape sequence"},
      {"a~(?=x)", "invalid perl operator"},
      {"a~x{1001}", "repetition"},
  }));
  const auto condition = Condition::read(text);
  REQUIRE_FALSE(condition);
  CHECK(condition.error().code == ErrorCode::usage);
  CHECK_THAT(condition.error().message, Contains(why));
}

// The expression for which backtracking takes for ever.
TEST_CASE("no text takes an expression's time") {
  const std::string text(1 << 20, 'a');
  CHECK_FALSE(Where{{"t~(a*)*b$"}}.takes_text(text, "t"));
}

} // namespace where_test
