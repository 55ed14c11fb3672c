// Who has shown the token.
#include "coordinator/http/bearer_token.hpp"

#include <catch2/catch.hpp>

namespace bearer_token_test {

using namespace gristmill::coordinator;

namespace {

HttpHeaders with(std::string authorization) {
  HttpHeaders headers;
  headers.add("authorization", std::move(authorization));
  return headers;
}

} // namespace

TEST_CASE("a token is shown whole, behind its scheme") {
  const BearerToken token{"secret"};
  CHECK(token.is_needed());
  CHECK(token.is_shown_by(with("Bearer secret")));
  CHECK(token.is_shown_by(with("bEARER secret")));
  CHECK_FALSE(token.is_shown_by({}));
  for (const char* wrong :
       {"", "Bearer", "Bearer ", "Bearer secre", "Bearer secrets", "Bearer SECRET",
        "Bearer  secret", "Bearersecret", "Basic secret", "secret"}) {
    INFO(wrong);
    CHECK_FALSE(token.is_shown_by(with(wrong)));
  }
}

TEST_CASE("where there is no token, nobody needs one") {
  const BearerToken none{""};
  CHECK_FALSE(none.is_needed());
  CHECK(none.is_shown_by({}));
  CHECK(none.is_shown_by(with("Bearer anything")));
}

TEST_CASE("whoever has shown none is told how") {
  const HttpResponse refusal = no_token();
  CHECK(refusal.status == 401);
  REQUIRE(refusal.headers.size() == 1);
  CHECK(refusal.headers[0].first == "WWW-Authenticate");
}

} // namespace bearer_token_test
