// Which paths may be called.
#include "protocol/openai/api.hpp"
#include "protocol/result.hpp"

#include <catch2/catch.hpp>

namespace openai_path_test {

using namespace gristmill;
using namespace gristmill::openai;
using namespace std::string_literals;

TEST_CASE("Allowed urls become paths below the base URL", "[path]") {
  const auto* path = GENERATE("/chat/completions", "/completions", "/responses", "/embeddings",
                              "/moderations", "/score", "/rerank");
  CHECK(path_of(path).value_or("") == path);
  CHECK(path_of("/v1"s + path).value_or("") == path);
}

TEST_CASE("Every other url is refused with the list of allowed ones", "[path]") {
  const auto url = GENERATE(
      ""s, "/"s, "/v1"s, "/v1/"s, "v1/chat/completions"s, "chat/completions"s, "/v1/files"s,
      "/v2/chat/completions"s, "/v1/v1/chat/completions"s, "/v1/chat/completions/"s,
      "/v1/chat/completions?x=1"s, "/v1/chat/completions#x"s, "//evil.example/v1/chat/completions"s,
      "/v1//chat/completions"s, "http://evil.example/v1/chat/completions"s,
      "https:/v1/chat/completions"s, "/v1/../chat/completions"s, "/v1/chat/completions/../../x"s,
      "@evil.example/v1/chat/completions"s, "/v1/chat/completions@evil.example"s,
      "/v1/chat/completions\r\nHost: evil"s, "/v1/chat/completions\n"s, "/v1/chat/completions\0"s,
      "/v1/chat%2fcompletions"s, "/V1/chat/completions"s, " /v1/chat/completions"s,
      "\\v1\\chat\\completions"s);
  INFO(url);
  const auto path = path_of(url);
  REQUIRE_FALSE(path);
  CHECK(path.error().code == ErrorCode::bad_input);
  CHECK_THAT(path.error().message, Catch::Contains("/v1/chat/completions, /v1/completions"));
  CHECK(path.error().message.find_first_of("\r\n") == std::string::npos);
}

TEST_CASE("A path tells the kind of its answers", "[path]") {
  CHECK(api_of("/chat/completions") == Api::chat);
  CHECK(api_of("/completions") == Api::completions);
  CHECK(api_of("/responses") == Api::responses);
  CHECK(api_of("/embeddings") == Api::embeddings);
  CHECK(api_of("/rerank") == Api::other);
}

} // namespace openai_path_test
