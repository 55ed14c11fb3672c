// Places in a document, as RFC 6901 names them.
#include "cli/export/json_pointer.hpp"

#include <catch2/catch.hpp>

namespace json_pointer_test {

using namespace gristmill;
using namespace gristmill::cli::flat;

TEST_CASE("The examples of the RFC", "[export]") {
  const json::Value document{
      R"({"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"i\\j":5,"k\"l":6," ":7,"m~n":8})"};
  const auto at = [&](const char* text) {
    INFO(text);
    const auto pointer = JsonPointer::of(text);
    REQUIRE(pointer);
    return std::string{pointer->in(document).text};
  };
  CHECK(at("") == document.text);
  CHECK(at("/foo") == R"(["bar","baz"])");
  CHECK(at("/foo/0") == R"("bar")");
  CHECK(at("/foo/1") == R"("baz")");
  CHECK(at("/") == "0");
  CHECK(at("/a~1b") == "1");
  CHECK(at("/c%d") == "2");
  CHECK(at("/i\\j") == "5");
  CHECK(at("/k\"l") == "6");
  CHECK(at("/ ") == "7");
  CHECK(at("/m~0n") == "8");
}

TEST_CASE("What is not there is nothing", "[export]") {
  const json::Value document{R"({"foo":["bar",{"a":1}],"n":3})"};
  for (const char* text :
       {"/bar", "/foo/2", "/foo/01", "/foo/-", "/foo/a", "/foo/1/b", "/n/0", "/foo/"}) {
    INFO(text);
    CHECK(JsonPointer::of(text)->in(document).is(json::Kind::none));
  }
  for (const char* text : {"/a~", "/a~2b", "/~"}) CHECK_FALSE(JsonPointer::of(text));
}

} // namespace json_pointer_test
