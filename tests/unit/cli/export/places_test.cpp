// Several places of a document, found in one walk.
#include "cli/export/places.hpp"

#include <array>
#include <catch2/catch.hpp>
#include <string>

namespace places_test {

using namespace gristmill;
using namespace gristmill::cli::flat;

namespace {

constexpr std::array<std::string_view, 5> paths{"a", "b.c", "b.list.0", "b.list.0.x", "b"};

std::vector<std::string> found_in(std::string_view document) {
  std::array<json::Value, paths.size()> found;
  found.fill({"left from before"});
  Places{paths}.find(document, found);
  std::vector<std::string> texts;
  for (const json::Value value : found) texts.emplace_back(value.text);
  return texts;
}

using Texts = std::vector<std::string>;

} // namespace

TEST_CASE("Each place gets its value, whatever stands around it", "[export]") {
  CHECK(found_in(R"({"a":1,"b":{"c":"x\"}","list":[{"x":[2]},{"x":3}],"d":{}}})") ==
        Texts{"1", R"("x\"}")", R"({"x":[2]})", "[2]",
              R"({"c":"x\"}","list":[{"x":[2]},{"x":3}],"d":{}})"});
  CHECK(found_in(" { \"z\" : [ 1 , {\"a\":2} ] , \"a\" : null , \"b\" : [ 7 ] } ") ==
        Texts{"null", "", "", "", "[ 7 ]"});
  CHECK(found_in(R"({"\u0061":"escaped"})") == Texts{R"("escaped")", "", "", "", ""});
  for (const char* other : {"{}", "[]", "[1]", "3", "\"a\"", ""})
    CHECK(found_in(other) == Texts(paths.size()));
}

TEST_CASE("Of equal members the last one counts, with all that is in it", "[export]") {
  CHECK(found_in(R"({"b":{"c":1,"list":[{"x":2}]},"a":1,"b":{"c":3},"a":4})") ==
        Texts{"4", "3", "", "", R"({"c":3})"});
  CHECK(found_in(R"({"b":{"c":1},"b":5})") == Texts{"", "", "", "", "5"});
}

TEST_CASE("What is cut or no JSON is read to its end at most", "[export]") {
  const std::string whole = R"({"a":"x\\","b":{"c":[1],"list":[{"x":{}}]}})";
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes)
    for (const char more : {'\0', '"', '\\', '{', '}', '[', ']', ',', ':', ' '}) {
      const std::string text = whole.substr(0, bytes) + more;
      for (const std::string& found : found_in(text)) CHECK(found.size() <= text.size());
    }
}

} // namespace places_test
