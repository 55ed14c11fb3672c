// Which model answers when nobody names one.
#include "cli/run/models.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

namespace models_test {

using namespace gristmill;
using namespace gristmill::cli;

TEST_CASE("The models are the ids of a list", "[models]") {
  const auto models =
      models_in(R"({"object":"list","data":[{"id":"a","object":"model"},{"id":"b"}]})");
  REQUIRE(models);
  CHECK(*models == std::vector<std::string>{"a", "b"});
  CHECK(models_in(R"({"data":[]})")->empty());
  CHECK(models_in(R"({"data":[{"name":"a"},1,null]})")->empty());
  for (const char* text : {"", "<html>", "[]", "{}", R"({"data":{}})", R"({"data":[)"})
    CHECK_FALSE(models_in(text).has_value());
}

TEST_CASE("One model is taken, also when several endpoints list it", "[models]") {
  CHECK(*only_model({"a"}, "http://x/v1") == "a");
  CHECK(*only_model({"a", "a"}, "http://x/v1 and http://y/v1") == "a");
  const auto none = only_model({}, "http://x/v1");
  REQUIRE_FALSE(none);
  CHECK(none.error().message ==
        "expected a model served at http://x/v1, got none; name the model with -m");
}

TEST_CASE("Of several models ten are named", "[models]") {
  const auto sentence = [](int count) {
    std::vector<std::string> models;
    for (int i = 0; i < count; ++i) models.push_back(fmt::format("m{:02}", i));
    const auto one = only_model(models, "http://x/v1");
    REQUIRE_FALSE(one);
    CHECK(one.error().code == ErrorCode::usage);
    return one.error().message;
  };
  CHECK(sentence(2) ==
        "expected one model at http://x/v1, got 2: m00, m01; name the model with -m");
  CHECK(sentence(10).ends_with("m08, m09; name the model with -m"));
  CHECK(sentence(11).ends_with("m08, m09 and 1 more; name the model with -m"));
}

} // namespace models_test
