// What a server says of a worker's key leaves the worker without it.
#include "protocol/limits.hpp"
#include "tests/unit/worker/http/curl_client_harness.hpp"
#include "worker/http/key_redaction.hpp"

#include <cstdlib>
#include <fmt/format.h>

namespace key_redaction_test {

using namespace gristmill;
using namespace gristmill::test;
using namespace gristmill::worker;

namespace {

std::string redacted(std::string body, std::string_view key, std::uint16_t status = 401) {
  CallEnded ended;
  ended.http_status = status;
  ended.body = std::move(body);
  redact_key(ended, key);
  return ended.body;
}

} // namespace

TEST_CASE("a key is taken out however it is spelled") {
  struct Row {
    std::string key, text, want;
  };
  const auto row = GENERATE(
      Row{"sk-1234567890", R"({"m":"key sk-1234567890 is wrong"})",
          R"({"m":"key [hidden] is wrong"})"},
      Row{"sk-1234567890", "sk-1234567890sk-1234567890", "[hidden][hidden]"},
      Row{"sk-1234567890", "sk-123456789", "sk-123456789"},         // cut: a part is fine
      Row{"sk-1234567890", "c2stMTIzNDU2Nzg5MA==", "[hidden]MA=="}, // base64 but for its end
      Row{"k/+\"\\=abc", R"("k/+\"\\=abc")", R"("[hidden]")"},
      Row{"k/+\"\\=abc", R"("k\/\u002b\"\\\u003dabc")", R"("[hidden]")"},
      Row{"k/+\"\\=abc", R"("k\/\u002B\u0022\u005C\u003Dabc")", R"("[hidden]")"},
      Row{"k/+\"\\=abc", "k%2f%2B%22%5c%3Dabc&", "[hidden]&"},
      Row{"k/+\"\\=abc", "k/+\"\\=abd k%2", "k/+\"\\=abd k%2"},
      Row{" sk-45678 ", "sk-45678", "[hidden]"}, // as an environment may have it
      // 7 and 8 bytes.
      Row{"sk-4567", R"({"m":"sk-4567, Bearer sk-4567"})", R"({"m":"sk-4567, [hidden]"})"},
      Row{"sk-45678", R"({"m":"sk-45678"})", R"({"m":"[hidden]"})"});
  CAPTURE(row.key, row.text);
  CHECK(redacted(row.text, row.key) == row.want);
}

TEST_CASE("an answer that is nothing but the key is dealt with in one pass, and not longer") {
  for (const std::string key : {"sk-45678", "sk/45678"}) {
    std::string text;
    while (text.size() < limits::reply_bytes_max) text += key;
    CHECK(redacted(text, key).size() == text.size());
  }
  CHECK(redacted("Bearer k", "k").size() == 8);
  CHECK(redacted("Bearer ", " ") == "Bearer ");
}

TEST_CASE("words of an answer stay, even if somebody chose one of them as a key") {
  CHECK(redacted("anything goes", "anything", 200) == "anything goes");
  CHECK(redacted("anything goes", "anything", 400) == "[hidden] goes");
  CHECK(redacted(R"({"created":1712345678})", "1712345678", 200) == R"({"created":1712345678})");
  CHECK(redacted("abcdefghijklmno", "abcdefghijklmno", 200) == "abcdefghijklmno");
  CHECK(redacted("abcdefghijklmnop", "abcdefghijklmnop", 200) == "[hidden]");
  CHECK(redacted("the-secret", "the-secret", 200) == "[hidden]");
}

TEST_CASE("a server that repeats the key is heard without it, in body and headers") {
  const auto status = GENERATE(as<std::string>{}, "200 OK", "401 Unauthorized");
  const std::string key = "sk-CANARY-0123456789abcdef";
  SocketServer server{[&](SocketServer::Connection& connection) {
    SocketServer::Request request;
    if (!connection.read(request)) return;
    const std::string said = request.header("authorization");
    const std::string body =
        R"({"error":{"message":"wrong: )" + said + R"("},"model":")" + key + R"("})";
    connection.send("HTTP/1.1 " + status + "\r\nX-Request-Id: " + said +
                    "\r\nX-RateLimit-Limit-Requests: " + key +
                    "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }};
  ::setenv("GRISTMILL_TEST_KEY", key.c_str(), 1);
  Calls calls;
  HttpCall call = calls.call(server.url());
  call.api_key_env = "GRISTMILL_TEST_KEY";
  const CallEnded ended = calls.run(std::move(call));
  ::unsetenv("GRISTMILL_TEST_KEY");
  CHECK(server.requests().at(0).header("authorization") == "Bearer " + key);
  CHECK(ended.end == CallEnd::answered);
  CHECK(ended.body == R"({"error":{"message":"wrong: Bearer [hidden]"},"model":"[hidden]"})");
  CHECK(header_of(ended, "x-request-id") == "Bearer [hidden]");
  CHECK(header_of(ended, "x-ratelimit-limit-requests") == "[hidden]");
}

} // namespace key_redaction_test
