// The id of a line that is broken, if it stands where it can be read.
#include "protocol/limits.hpp"
#include "protocol/openai/line/readable_id.hpp"

#include <catch2/catch.hpp>
#include <string>

namespace readable_id_test {

using namespace gristmill;
using openai::readable_id;

TEST_CASE("a line that is broken behind or before its id keeps it") {
  const auto [line, id] = GENERATE(table<std::string, std::string>({
      {R"({"custom_id":"a","body":{"content":"cut)", "a"},
      {R"({"custom_id":"a","body":{"content":"half \ud83d"}})", "a"},
      {R"({"custom_id":"a","body":{"x":1,}})", "a"},
      {R"({"custom_id" : "a b" , )", "a b"},
      {R"({"body":{"custom_id":"inner","x":[1,{"custom_id":"deep"}]},"custom_id":"a",)", "a"},
      {R"({"body":{"x":tru},"custom_id":"a"})", "a"},
      {R"({"text":"he said \"custom_id\":\"no\"","custom_id":"a"} tail)", "a"},
      {R"({"\u0063ustom_id":"a")", "a"},
      {R"({"custom_id":17,)", "17"},
      {R"({"custom_id":-1.5e3})", "-1.5e3"},
      {R"({"custom_id":"caf\u00e9",)", "caf\u00e9"},
      {"{\"custom_id\":\"a\",\"text\":\"\xff\"}", "a"},
      {R"([{"custom_id":"in an array"}])", ""},
      {R"({"custom_id":17)", ""}, // cut, perhaps 170
      {R"({"custom_id":"cut)", ""},
      {R"({"custom_id":"half \ud83d"})", ""},
      {"{\"custom_id\":\"\xff\"}", ""},
      {R"({"custom_id":null,)", ""},
      {R"({"custom_id":{"a":1},)", ""},
      {R"({"x":"custom_id")", ""},
      {R"({"a":1} {"custom_id":"of another"})", ""},
      {"not json", ""},
      {"", ""},
      {R"({"custom_id":"\)", ""},
  }));
  CAPTURE(line);
  CHECK(readable_id(line, "custom_id") == id);
}

TEST_CASE("an id that is too long for a result line is none") {
  const std::string most(limits::custom_id_bytes_max, 'x');
  CHECK(readable_id("{\"id\":\"" + most + "\",", "id") == most);
  CHECK(readable_id("{\"id\":\"" + most + "x\",", "id").empty());
}

} // namespace readable_id_test
